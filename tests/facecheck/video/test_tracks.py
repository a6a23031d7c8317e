"""The rule that makes one answer of a track's frames."""

import pytest

from facecheck.error_rates import Quality
from facecheck.model.config import Decision
from facecheck.result import Face, Reason, Verdict
from facecheck.video.tracks import Track, evidence, weighted_median

DECISION = Decision(1.0, 0.5, 0.4, 0.5)


def face(p_fake: float, *reasons: Reason, size: float = 100, turned: float = 0.0) -> Face:
    quality = Quality(size, 9.0, 1.0, 0.0, turned)
    return Face((0, 0, size, size), ((0, 0),) * 5, 1.0, p_fake, Verdict.REAL, reasons, quality=quality)


def track(*faces: Face) -> Track:
    made = Track(1, faces[0], 0.0)
    for at_s, each in enumerate(faces):
        made.add(at_s, each)
    return made


def answer(*scores: float, samples: int = 10) -> tuple[float, str, tuple[str, ...]]:
    answered = track(*map(face, scores)).answer(DECISION, samples)
    return answered.p_fake, str(answered.verdict), answered.reasons


def test_the_median_of_the_faces_that_could_be_judged_decides():
    blurred = face(0.99, Reason.BLURRED)
    seen = track(face(0.1), face(0.9), face(0.2), blurred, blurred)
    answered = seen.answer(DECISION, 5)
    assert (answered.p_fake, str(answered.verdict), answered.reasons) == (0.2, "real", ())
    assert seen.to_dict() == {
        "from_s": 0, "to_s": 4, "at_s": 0, "samples": 5, "judged": 3, "p_fake_low": 0.1, "p_fake_high": 0.9
    }  # fmt: skip


def test_one_bad_frame_is_outvoted_and_two_of_ten_are_a_contradiction():
    assert answer(*[0.1] * 9, 0.99) == (0.1, "real", ())
    assert answer(*[0.1] * 8, 0.99, 0.99) == (0.1, "uncertain", ("inconsistent",))
    assert answer(*[0.9] * 8, 0.01, 0.01) == (0.9, "uncertain", ("inconsistent",))
    assert answer(*[0.1] * 28, 0.99, 0.99, samples=30) == (0.1, "real", ())
    assert answer(*[0.1] * 8, 0.45, 0.45) == (0.1, "real", ())


@pytest.mark.parametrize(("scores", "samples", "verdict"), [
    ([0.9], 10, "uncertain"), ([0.9, 0.9], 10, "uncertain"), ([0.9] * 3, 10, "fake"), ([0.1, 0.1], 10, "uncertain"),
    ([0.9], 1, "fake"), ([0.9, 0.9], 2, "fake"), ([0.9], 2, "uncertain"),
])  # fmt: skip
def test_a_short_shot_accuses_and_clears_nobody_unless_the_clip_has_no_more(scores, samples, verdict):
    _, word, reasons = answer(*scores, samples=samples)
    assert (word, reasons) == (verdict, ("brief",) if verdict == "uncertain" else ())


def test_a_borderline_score_says_so_beside_the_other_reasons():
    assert answer(0.45) == (0.45, "uncertain", ("borderline", "brief"))


def test_a_face_that_was_never_judged_says_why_most_often_first():
    answered = track(face(0.9, Reason.PARTIAL), face(0.9, Reason.BLURRED), face(0.8, Reason.BLURRED)).answer(
        DECISION, 3
    )
    assert (answered.verdict, answered.reasons) == ("uncertain", ("blurred", "partial"))


def test_the_largest_face_that_could_be_judged_is_shown():
    seen = track(face(0.1, size=50), face(0.1, Reason.BLURRED, size=200), face(0.1, size=80), face(0.1, size=60))
    assert (seen.face.size_px, seen.at_s) == (80, 2)


def test_small_and_turned_faces_weigh_less():
    assert evidence(face(0.5)) == evidence(face(0.5, Reason.BORDERLINE)) == 1
    assert evidence(face(0.5, Reason.BLURRED)) == 0
    assert evidence(face(0.5, size=32)) == 0.5 and evidence(face(0.5, size=1)) == 0.25
    assert evidence(face(0.5, turned=0.5)) == pytest.approx(0.625) and evidence(face(0.5, turned=9)) == 0.25
    profile = track(*[face(0.9, turned=0.8)] * 5, *[face(0.1)] * 3).answer(DECISION, 8)
    assert profile.p_fake == 0.1


def test_the_weighted_median_is_that_of_repeated_values():
    assert weighted_median([(0.3, 1.0), (0.1, 1.0), (0.2, 1.0)]) == 0.2
    assert weighted_median([(0.4, 1.0), (0.1, 1.0), (0.2, 1.0), (0.3, 1.0)]) == pytest.approx(0.25)
    assert weighted_median([(0.1, 3.0), (0.9, 1.0), (0.5, 1.0)]) == 0.1
    assert weighted_median([(0.7, 0.5)]) == 0.7
