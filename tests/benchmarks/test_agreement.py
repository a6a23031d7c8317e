import pytest

from benchmarks.contests import agreement, by_score, matching
from facecheck.model.config import Decision
from facecheck.result import Box, Face, Prediction, Verdict

DECISION = Decision(threshold=0.6, uncertain_from=0.4, uncertain_to=0.6)


def face(box: Box, p_fake: float = 0.1, verdict: Verdict = Verdict.UNCERTAIN) -> Face:
    return Face(box, (), 0.99, p_fake, verdict, ("blurred",))


def test_faces_match_once_from_an_iou_of_one_half() -> None:
    first = [face((0, 0, 100, 100)), face((200, 0, 300, 100)), face((400, 0, 500, 100))]
    # IoU: exactly 50 / 100; then 49 / 151 and lower; the last overlaps the first one by 0.9, but a better one is there.
    second = [face((210, 0, 310, 100)), face((0, 0, 100, 50)), face((400, 0, 449, 100))]
    assert matching(first, second) == [(0, 1), (1, 0)]
    assert matching([first[0]], [face((0, 0, 100, 90)), face((0, 0, 100, 95))]) == [(0, 1)]
    assert matching(first, []) == matching([], second) == []


def test_verdicts_follow_from_the_score_alone() -> None:
    seen = Prediction("x", faces=tuple(face((0, 0, 50, 50), score) for score in (0.1, 0.5, 0.9)))
    assert [each.verdict for each in by_score(seen, DECISION).faces] == ["real", "uncertain", "fake"]


def test_counts_by_hand() -> None:
    same = Prediction("same", faces=(face((0, 0, 50, 50), 0.1), face((100, 0, 150, 50), 0.2)))
    other = Prediction("same", faces=(face((1, 0, 51, 50), 0.3), face((100, 0, 150, 50), 0.9)))
    lost = Prediction("lost", faces=(face((0, 0, 40, 39), 0.9), face((200, 0, 239, 39), 0.1)))
    found = agreement([(same, other), (lost, Prediction("lost")), (same, same), (lost, lost)], DECISION)
    assert (found.pictures, found.naive_faces, found.facecheck_faces) == (4, 8, 6)
    # Of the two faces lost one has a side of 40 px. Pictures: fake instead of real; no_face instead of fake; two equal.
    assert (found.matched, found.lost_large, found.same_faces, found.same_pictures) == (6, 1, 5, 2)
    assert found.face_share == pytest.approx(5 / 6)
    assert found.picture_share == 0.5
