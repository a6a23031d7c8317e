"""A clip: sampled, followed, one score over time; nothing but the file itself is opened."""

from collections.abc import Sequence
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from demo.page import results, timeline
from demo.video import MAX_FACES, is_clip, judge_clip
from facecheck.errors import ImageError
from facecheck.explain import wording
from facecheck.model.config import Decision
from facecheck.result import Face, Prediction, Reason, Verdict


@pytest.fixture(scope="module")
def clip(tmp_path_factory, grace) -> bytes:
    """A second in which a portrait moves to the right."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    small = cv2.resize(grace, (256, 300), interpolation=cv2.INTER_AREA)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 8, (256, 300))
    for step in range(8):
        writer.write(np.ascontiguousarray(np.roll(small, 3 * step, axis=1)[..., ::-1]))
    writer.release()
    return path.read_bytes()


def test_the_face_of_a_clip_is_followed_and_drawn(clip, checker):
    assert is_clip(clip)
    seen = judge_clip(clip, checker)
    assert seen.frames == 8 and len(seen.tracks) == len(seen.prediction.faces) == 1
    assert seen.prediction.faces[0].p_fake == pytest.approx(np.median(seen.tracks[0].judged))
    assert seen.tracks[0].seconds == pytest.approx(np.arange(8) / 8)
    html = timeline.answer(seen, checker.decision)
    assert html.count("<polyline") == 1 and "8 frames of 0.9 s" in html and "Time line" in html


def test_pictures_and_play_lists_are_no_clips(portrait):
    assert not is_clip(portrait) and not is_clip(b"") and not is_clip(b"\0\0\0\x1cftypavif")
    assert not is_clip(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile:///etc/passwd\n")
    assert not is_clip(b"ffconcat version 1.0\nfile /etc/passwd\n")


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_a_damaged_clip_is_an_image_error(clip, checker, share):
    with pytest.raises(ImageError, match="clip"):
        judge_clip(clip[: int(len(clip) * share)], checker)


def test_a_disguised_play_list_opens_no_other_file(clip, checker, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(clip)
    hidden = b"\0\0\0\x18ftypisom" + b"#EXTM3U\n#EXTINF:1,\n" + (tmp_path / "secret.mp4").as_uri().encode() + b"\n"
    with pytest.raises(ImageError):
        judge_clip(hidden, checker)


class Script:
    """A checker that finds in each frame what the script says."""

    decision = Decision(uncertain_from=0.4, uncertain_to=0.6)

    def __init__(self, *frames: Sequence[Face]) -> None:
        self._frames = iter(frames)

    def predict(self, _: np.ndarray) -> Prediction:
        return Prediction("frame", faces=tuple(next(self._frames)))


def face(p_fake: float, x: float = 0, reasons: tuple[str, ...] = ()) -> Face:
    return Face((x, 0.0, x + 100, 100.0), (), 1.0, p_fake, Verdict.FAKE, reasons)


@pytest.mark.parametrize(
    ("scores", "verdict", "reasons", "told"),
    [
        ([0.9], "uncertain", ("brief",), "In 1 frame, at 0.2 s: 90 %."),
        ([0.9, 0.8], "uncertain", ("brief",), "In 2 frames, 0.2 to 0.4 s: 80 % to 90 %."),
        ([0.1, 0.1], "uncertain", ("brief",), "In 2 frames, 0.2 to 0.4 s: 10 %."),
        ([0.5], "uncertain", ("borderline", "brief"), "In 1 frame, at 0.2 s: 50 %."),
        ([0.9, 0.8, 0.9], "fake", (), "In 3 frames, 0.2 to 0.5 s: 80 % to 90 %."),
    ],
)
def test_a_short_shot_of_a_face_is_shown_but_accuses_nobody(clip, scores, verdict, reasons, told):
    shots = [[], [], *([face(score)] for score in scores), *[[]] * 6]
    seen = judge_clip(clip, Script(*shots))
    assert (seen.prediction.verdict, seen.prediction.reasons) == (verdict, reasons)
    html = timeline.answer(seen, Script.decision)
    ElementTree.fromstring(f"<div>{html}</div>")
    assert "No face found" not in html and html.count("<circle") == html.count("<li class") == 1
    assert told in html and (wording.REASONS[Reason.BRIEF] in html) == ("brief" in reasons)


def test_a_face_that_is_too_blurred_in_its_only_frame_says_that(clip):
    seen = judge_clip(clip, Script([face(0.9, 0, ("blurred",))], *[[]] * 7))
    assert seen.prediction.reasons == ("blurred",)
    assert "In 1 frame, at 0.0 s: not clearly enough." in timeline.answer(seen, Script.decision)


def test_a_long_and_a_short_shot_are_told_apart_and_no_verdict_hides_the_short_one(clip):
    seen = judge_clip(clip, Script([face(0.9, 300), face(0.1)], *[[face(0.1)]] * 7))
    assert [str(one.verdict) for one in seen.prediction.faces] == ["real", "uncertain"]
    assert "1 of 2 faces cannot be judged" in results.banner(seen.prediction)


def test_short_shots_never_push_a_person_out(clip):
    crowd = [[*(face(0.9, 300 * (3 * at + place)) for place in (1, 2, 3)), face(0.1)] for at in range(8)]
    seen = judge_clip(clip, Script(*crowd))
    assert len(seen.prediction.faces) == len(seen.tracks) == len(seen.stills) == MAX_FACES
    assert (seen.prediction.faces[0].verdict, len(seen.tracks[0].faces)) == ("real", 8)


def test_a_clip_of_two_frames_is_judged_by_both(clip, monkeypatch):
    monkeypatch.setattr("demo.video.FRAMES", 2)
    assert judge_clip(clip, Script([face(0.9)], [face(0.9)])).prediction.verdict == "fake"
