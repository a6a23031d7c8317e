"""The same face keeps its number from frame to frame."""

import gc
import weakref

import pytest

from demo.tracking import Tracker
from facecheck.model.config import Decision
from facecheck.result import Face, Verdict


def face(x: float, p_fake: float = 0.1, reasons: tuple[str, ...] = (), side: float = 100) -> Face:
    verdict = Verdict.UNCERTAIN if reasons else Verdict.REAL
    return Face((x, 0.0, x + side, side), (), 1.0, p_fake, verdict, reasons)


def test_two_people_who_move_keep_their_numbers_whatever_the_order():
    tracker = Tracker()
    tracker.update(0.0, [face(0), face(300)])
    assert [track.number for track in tracker.update(0.1, [face(310), face(20)])] == [2, 1]
    assert [track.number for track in tracker.update(0.2, [face(600), face(40)])] == [3, 1]


def test_a_face_may_be_away_for_a_moment_but_not_for_long():
    tracker = Tracker(patience=2)
    tracker.update(0.0, [face(0)])
    tracker.update(0.1, [])
    assert tracker.update(0.2, [face(0)])[0].number == 1
    for at in range(3):
        tracker.update(1.0 + at, [])
    assert tracker.update(5.0, [face(0)])[0].number == 2


def test_one_bad_frame_does_not_turn_the_live_score_over_and_unclear_frames_do_not_count():
    tracker = Tracker()
    for at in range(10):
        (track,) = tracker.update(at, [face(0, 0.1)])
    tracker.update(10, [face(0, 0.99, ("blurred",))])
    assert track.smooth == pytest.approx(0.1)
    tracker.update(11, [face(0, 0.9)])
    assert track.smooth == pytest.approx(0.7 * 0.1 + 0.3 * 0.9)
    assert track.middle() == pytest.approx(0.1)
    decision = Decision()
    assert track.verdict_of(track.middle(), decision) == Verdict.REAL
    assert track.verdict_of(None, decision) == Verdict.UNCERTAIN


def test_a_long_live_track_does_not_grow():
    tracker = Tracker(keep=5)
    for at in range(50):
        (track,) = tracker.update(at, [face(0)])
    assert len(track.faces) == len(track.seconds) == 6


def test_faces_that_come_and_go_are_numbered_on_and_forgotten():
    tracker, seen = Tracker(patience=3), []
    for at in range(200):
        (track,) = tracker.update(at, [face(300 * at)])
        seen.append(weakref.ref(track))
    assert track.number == 200
    gc.collect()
    assert sum(one() is not None for one in seen) == 4
