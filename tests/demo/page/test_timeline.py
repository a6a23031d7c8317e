"""A clip's answer: people followed, one score over time, and what was not looked at."""

from collections.abc import Sequence
from html import escape
from xml.etree import ElementTree

import numpy as np
import pytest

from demo.page import results, timeline
from facecheck.explain import clips, wording
from facecheck.explain.clips import clip_report
from facecheck.explain.report import Explanation
from facecheck.model.config import Decision
from facecheck.result import Face, Prediction, Reason, Verdict
from facecheck.video.frames import ClipLimits
from facecheck.video.judging import judge_clip
from tests.clips import frame, head, write_clip
from tests.demo.page.test_languages import SAME, Table


@pytest.fixture(scope="module")
def clip(tmp_path_factory, grace) -> bytes:
    """A second in which a portrait moves to the right."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, [frame((head(grace), 3 * step)) for step in range(8)], fps=8).read_bytes()


class Script:
    """A checker that finds in each frame what the script says."""

    decision = Decision(uncertain_from=0.4, uncertain_to=0.6)

    def __init__(self, *frames: Sequence[Face]) -> None:
        self._frames = iter(frames)

    def judge_batch(self, batch) -> list[Prediction]:
        return [Prediction("frame", faces=tuple(next(self._frames))) for _ in batch]


def face(p_fake: float, x: float = 0, *reasons: Reason) -> Face:
    return Face((x, 0.0, x + 100, 100.0), (), 1.0, p_fake, Verdict.FAKE, reasons)


def test_the_face_of_a_clip_is_followed_and_drawn(clip, checker):
    seen = judge_clip(clip, checker)
    assert seen.samples == 8 and len(seen.tracks) == len(seen.prediction.faces) == 1
    (track,) = seen.tracks
    assert min(one.p_fake for one in track.judged) <= seen.prediction.p_fake <= max(one.p_fake for one in track.judged)
    assert [one.at_s for one in track.observations] == pytest.approx(np.arange(8) / 8)
    html = timeline.answer(seen, checker.decision)
    ElementTree.fromstring(f"<div>{html}</div>")
    assert html.count("<polyline") == 1 and "8 frames of 0.9 s" in html and "Time line" in html
    assert "not looked at" not in html


@pytest.mark.parametrize(
    ("scores", "verdict", "reasons", "told"),
    [
        ([0.9], "uncertain", ("brief",), "In 1 frame, at 0.2 s: 90 of 100."),
        ([0.9, 0.8], "uncertain", ("brief",), "In 2 frames, 0.2 to 0.4 s: 80 of 100 to 90 of 100."),
        ([0.1, 0.1], "uncertain", ("brief",), "In 2 frames, 0.2 to 0.4 s: 10 of 100."),
        ([0.5], "uncertain", ("borderline", "brief"), "In 1 frame, at 0.2 s: 50 of 100."),
        ([0.9, 0.8, 0.9], "fake", (), "In 3 frames, 0.2 to 0.5 s: 80 of 100 to 90 of 100."),
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


def test_the_report_on_a_clip_has_each_person_with_a_strip_and_the_rule(clip):
    seen = judge_clip(clip, Script([face(0.9, 300), face(0.1)], *[[face(0.1)]] * 7), shots=3)
    about = Explanation(Prediction("x"), sha256="ab12", bytes=len(clip))
    html = clip_report(seen, about)
    assert html.count("class=strip") == 2 and html.count("<img") == sum(map(len, seen.strips)) > 3
    assert "In 8 frames, 0.0 to 0.9 s: 10 of 100." in html and "In 1 frame, at 0.0 s: 90 of 100." in html
    assert all(escape(rule) in html for rule in clips.RULE) and clips.UNMEASURED in html and "ab12" in html
    table = Table("de")
    with wording.speaking(table):
        told = clip_report(seen, about)
    assert table.missing <= SAME and "Wie ein Film beurteilt wird" in told


def test_a_face_that_is_too_blurred_in_its_only_frame_says_that(clip):
    seen = judge_clip(clip, Script([face(0.9, 0, Reason.BLURRED)], *[[]] * 7))
    assert seen.prediction.reasons == ("blurred",)
    assert "In 1 frame, at 0.0 s: not clearly enough." in timeline.answer(seen, Script.decision)


def test_a_long_and_a_short_shot_are_told_apart_and_no_verdict_hides_the_short_one(clip):
    seen = judge_clip(clip, Script([face(0.9, 300), face(0.1)], *[[face(0.1)]] * 7))
    assert [str(one.verdict) for one in seen.prediction.faces] == ["real", "uncertain"]
    assert "1 of 2 faces cannot be judged" in results.banner(seen.prediction)


def test_short_shots_never_push_a_person_out_and_many_people_are_folded(clip):
    crowd = [[*(face(0.9, 300 * (3 * at + place)) for place in (1, 2, 3)), face(0.1)] for at in range(8)]
    seen = judge_clip(clip, Script(*crowd))
    assert len(seen.prediction.faces) == len(seen.tracks) == len(seen.thumbnails) == 25
    assert (seen.prediction.faces[0].verdict, seen.tracks[0].seen) == ("real", 8)
    assert "Show 13 people in fewer frames" in timeline.answer(seen, Script.decision)


def test_a_clip_of_two_frames_is_judged_by_both(clip):
    seen = judge_clip(clip, Script([face(0.9)], [face(0.9)]), ClipLimits(max_samples=2))
    assert seen.prediction.verdict == "fake"


def test_a_clip_that_was_not_looked_at_to_its_end_says_so(clip, checker):
    seen = judge_clip(clip, checker, ClipLimits(max_seconds=0.4))
    assert "Looked at the first 0.4 of 1.0 seconds." in timeline.answer(seen, checker.decision)
    assert seen.prediction.verdict != "real"
    seen.clip.length_s = 0.0
    assert "The end of the clip was not looked at." in timeline.answer(seen, checker.decision)
