"""One answer for each person of a clip, whatever they do in it."""

import numpy as np
import pytest

from facecheck.decoding import Pixels
from facecheck.errors import ImageError
from facecheck.result import Face, Prediction, Verdict
from facecheck.video.frames import ClipLimits
from facecheck.video.judging import frame_at, judge_clip
from tests.clips import fake_in_two_of_ten, frame, red, steady, turned_by_metadata, turns_away, two_cross, write_clip


@pytest.fixture
def judged(tmp_path, red_checker):
    def judge(frames: list[Pixels], **limits):
        return judge_clip(write_clip(tmp_path / "clip.mp4", frames), red_checker, ClipLimits(**limits))

    return judge


def verdicts(found) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(face.verdict), face.reasons) for face in found.prediction.faces]


def test_one_face_in_all_frames_is_one_person(judged, woman):
    found = judged(steady(woman))
    assert (found.people, found.samples, verdicts(found)) == (1, 10, [("real", ())])
    assert verdicts(judged(steady(red(woman)))) == [("fake", ())]


def test_fake_in_two_of_ten_frames_is_no_verdict(judged, woman):
    found = judged(fake_in_two_of_ten(woman))
    assert (found.people, verdicts(found)) == (1, [("uncertain", ("inconsistent",))])
    assert found.prediction.verdict == "uncertain" and found.prediction.p_fake < 0.4
    assert sum(observation.p_fake > 0.6 for observation in found.tracks[0].judged) == 2


def test_a_person_who_shows_in_two_of_ten_frames_is_no_verdict(judged, woman):
    found = judged([frame((red(woman), 90)) if number in (3, 4) else frame() for number in range(10)])
    assert (found.people, verdicts(found)) == (1, [("uncertain", ("brief",))])


def test_a_face_that_moves_and_turns_away_for_five_frames_is_one_person(judged, woman):
    found = judged(turns_away(woman), every_s=0.1)
    assert (found.people, found.samples, found.tracks[0].seen) == (1, 16, 11)
    assert verdicts(found) == [("real", ())]


def test_two_faces_that_cross_stay_two_people_with_a_verdict_each(judged, woman, astronaut_head):
    for first, second in ((woman, red(astronaut_head)), (astronaut_head, red(woman))):
        found = judged(two_cross(first, second))
        assert found.people == 2 and verdicts(found) == [("real", ()), ("fake", ())]
        assert found.prediction.verdict == "fake"


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_frames_that_metadata_turns_are_judged_upright(tmp_path, red_checker, woman, quarters):
    stored = write_clip(tmp_path / "turned.mp4", [np.rot90(pixels, quarters) for pixels in steady(woman)])
    found = judge_clip(turned_by_metadata(stored.read_bytes(), quarters), red_checker)
    assert (found.people, found.prediction.size) == (1, (320, 160))
    assert verdicts(found) == [("real", ())]


def test_faces_boxes_and_thumbnails_are_of_the_frame_that_is_named(judged, red_checker, woman, tmp_path):
    found = judged(turns_away(woman), every_s=0.1)
    (track,), (face,), (thumbnail,) = found.tracks, found.prediction.faces, found.thumbnails
    alone = red_checker.predict(frame_at(tmp_path / "clip.mp4", track.at_s)).faces[0]
    assert alone.box == pytest.approx(face.box, abs=0.01)
    assert thumbnail.shape == (192, 192, 3) and red_checker.predict(thumbnail).verdict == "real"
    with pytest.raises(ImageError, match="no frame at 9 s"):
        frame_at(tmp_path / "clip.mp4", 9)


def test_what_is_said_of_a_clip_is_plain(judged, woman):
    told = judged(steady(woman), every_s=0.2, max_seconds=0.5).to_dict()
    (track,) = told.pop("tracks")
    assert told == pytest.approx(
        {
            "every_s": 0.2, "duration_s": 0.4, "fps": 10, "frames": 5, "complete": False, "unseen_s": 0.6,
            "stopped": "max_seconds", "samples": 3, "people": 1,
        }
    )  # fmt: skip
    assert (track["from_s"], track["to_s"], track["samples"], track["judged"]) == pytest.approx((0, 0.4, 3, 3))
    assert track["p_fake_low"] <= track["p_fake_high"] < 0.4


class Script:
    """A checker that finds in each frame what the script says."""

    def __init__(self, decision, *frames: list[Face]) -> None:
        self.decision, self._frames = decision, iter(frames)
        self.sizes: list[int] = []

    def judge_batch(self, batch) -> list[Prediction]:
        self.sizes.append(len(batch))
        return [Prediction("frame", faces=tuple(next(self._frames))) for _ in batch]


def face(p_fake: float, x: float, *reasons: str) -> Face:
    return Face((x, 0.0, x + 100, 100.0), (), 1.0, p_fake, Verdict.FAKE, reasons)


def test_strangers_in_every_frame_push_nobody_out_and_fill_no_memory(tmp_path, woman, red_checker):
    clip = write_clip(tmp_path / "clip.mp4", steady(woman) * 20)
    crowd = [[*(face(0.9, 300 * (3 * at + place)) for place in (1, 2, 3)), face(0.1, 0)] for at in range(200)]
    found = judge_clip(clip, Script(red_checker.decision, *crowd), ClipLimits(every_s=0.01, max_people=5))
    assert len(found.prediction.faces) == len(found.tracks) == len(found.thumbnails) == 5 < found.people == 601
    assert (found.prediction.faces[0].verdict, found.tracks[0].seen) == ("real", 200)
    assert [track.seen for track in found.tracks[1:]] == [1] * 4


def test_of_a_frame_the_largest_faces_are_followed(tmp_path, woman, red_checker):
    clip = write_clip(tmp_path / "clip.mp4", steady(woman))
    shots = [[face(0.1, 0), face(0.1, 300), face(0.1, 600)]] * 10
    assert judge_clip(clip, Script(red_checker.decision, *shots), ClipLimits(max_faces=2)).people == 2


def test_memory_holds_few_frames(tmp_path, woman, red_checker, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", steady(woman))
    script = Script(red_checker.decision, *[[]] * 10)
    monkeypatch.setattr("facecheck.batching.BATCH_PIXELS", 2 * 320 * 160)
    judge_clip(clip, script)
    assert script.sizes == [2] * 5


def test_nobody_is_cleared_by_a_clip_that_was_seen_in_part(judged, woman):
    assert verdicts(judged(steady(woman), every_s=0.1, max_seconds=0.5)) == [("uncertain", ("incomplete",))]
    assert verdicts(judged(steady(red(woman)), every_s=0.1, max_seconds=0.5)) == [("fake", ())]


def test_a_person_who_moves_is_one_strip_that_holds_the_worst_moment(tmp_path, red_checker, woman):
    clip = write_clip(tmp_path / "clip.mp4", turns_away(woman))
    found = judge_clip(clip, red_checker, ClipLimits(every_s=0.1), shots=4)
    (strip,), (track,) = found.strips, found.tracks
    assert 4 <= len(strip) <= 5 and [shot.at_s for shot in strip] == sorted({shot.at_s for shot in strip})
    assert max(shot.p_fake for shot in strip) == max(one.p_fake for one in track.judged)
    assert {shot.pixels.shape for shot in strip} == {(96, 96, 3)}


def test_who_watches_sees_the_clip_pass_and_can_end_it(tmp_path, red_checker, woman):
    clip, seen = write_clip(tmp_path / "clip.mp4", steady(woman)), []
    judge_clip(clip, red_checker, watch=lambda at_s, of_s: seen.append((at_s, of_s)))
    assert seen[-1] == pytest.approx((0.9, 1.0), abs=0.01)

    def stop(*_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        judge_clip(clip, red_checker, watch=stop)
