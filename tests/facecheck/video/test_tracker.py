"""The same face keeps its number from frame to frame."""

import gc
import weakref

import numpy as np
import pytest

from facecheck.model.config import Decision
from facecheck.result import Face, Verdict
from facecheck.video.tracker import LONGEST_GAP, Tracker, appearance, overlap
from tests.clips import frame

DECISION = Decision(1.0, 0.5, 0.4, 0.5)


def face(x: float, p_fake: float = 0.1, *reasons: str, size: float = 100, y: float = 0) -> Face:
    return Face((x, y, x + size, y + size), ((0, 0),) * 5, 1.0, p_fake, Verdict.REAL, reasons)


def numbers(tracker: Tracker, at_s: float, *faces: Face) -> list[int]:
    return [track.number for track in tracker.update(at_s, faces)]


def test_two_people_who_move_keep_their_numbers_whatever_the_order():
    tracker = Tracker()
    assert numbers(tracker, 0.0, face(0), face(300)) == [1, 2]
    assert numbers(tracker, 0.1, face(310), face(20)) == [2, 1]
    assert numbers(tracker, 0.2, face(600), face(40)) == [3, 1]


def test_a_face_may_be_away_for_a_moment_but_not_for_long():
    tracker = Tracker(patience=2)
    assert numbers(tracker, 0.0, face(0)) == [1]
    assert numbers(tracker, 0.1) == []
    assert numbers(tracker, 0.2, face(0)) == [1]
    for at in range(3):
        numbers(tracker, 1.0 + at)
    assert numbers(tracker, 5.0, face(0)) == [2]


@pytest.mark.parametrize(("gap", "people"), [(LONGEST_GAP, 1), (LONGEST_GAP + 1, 2)])
def test_a_face_that_moves_on_while_it_is_away_for_five_frames_is_the_same(gap, people):
    tracker = Tracker()
    for number in range(20):
        tracker.update(number, [] if 4 <= number < 4 + gap else [face(15 * number)])
    assert tracker.people == people


def test_within_a_second_more_frames_may_be_missing():
    tracker = Tracker()
    for number in range(30):
        tracker.update(number / 20, [] if 4 <= number < 20 else [face(2 * number)])
    assert tracker.people == 1


def test_two_faces_that_cross_keep_their_numbers():
    tracker = Tracker()
    for number in range(21):
        found = tracker.update(number / 10, [face(30 * number, 0.9), face(600 - 30 * number, 0.1)])
    assert [track.number for track in found] == [1, 2] and tracker.people == 2
    assert [{one.p_fake for one in track.observations} for track in found] == [{0.9}, {0.1}]


def test_a_face_that_is_hidden_while_it_crosses_another_is_found_again():
    tracker = Tracker()
    for number in range(21):
        hidden = abs(300 - 30 * number) < 60
        faces = [face(30 * number, 0.9)] + ([] if hidden else [face(600 - 30 * number, 0.1)])
        tracker.update(number / 10, faces)
    assert tracker.people == 2


def test_a_face_that_returns_elsewhere_is_another():
    tracker = Tracker()
    assert numbers(tracker, 0, face(0, size=10)) == [1]
    assert numbers(tracker, 1, face(30, size=10)) == [2]


def test_two_people_stay_two_and_a_gap_is_bridged():
    tracker = Tracker()
    tracks = {}
    for at in range(6):
        faces = [face(50 - at, 0.9, size=10), face(at, 0.1, size=10)]
        faces = faces[:1] if at == 3 else faces[:: 1 - 2 * (at % 2)]
        tracks |= {track.number: track for track in tracker.update(at, faces)}
    assert [str(track.answer(DECISION, 6).verdict) for track in tracks.values()] == ["fake", "real"]
    assert [track.seen for track in tracks.values()] == [6, 5]


def test_one_frame_of_many_accuses_nobody():
    tracker, tracks = Tracker(), {}
    shots = [
        [face(0, 0.99, size=10), face(50, 0.1, size=10)],
        [face(50, 0.45, size=10)],
        [face(50, 0.5, size=10), face(80, 0.99, "blurred", size=10)],
    ]
    for at, faces in enumerate(shots):
        tracks |= {track.number: track for track in tracker.update(at, faces)}
    answers = [track.answer(DECISION, tracker.samples) for track in tracks.values()]
    assert [(answer.p_fake, str(answer.verdict), answer.reasons) for answer in answers] == [
        (0.99, "uncertain", ("brief",)),
        (0.45, "uncertain", ("borderline",)),
        (0.99, "uncertain", ("blurred",)),
    ]


def test_a_face_that_walks_fast_is_known_by_its_look_and_another_face_there_is_not(woman, astronaut_head):
    def pixels(picture: np.ndarray, x: int) -> tuple[Face, np.ndarray]:
        return face(x + 45, size=45, y=45), frame((picture, x))

    for second, people in ((woman, 1), (astronaut_head, 2)):
        tracker = Tracker()
        for at_s, (picture, x) in enumerate([(woman, 0), (second, 130)]):
            found, shown = pixels(picture, x)
            tracker.update(at_s, [found], shown)
        assert tracker.people == people


def test_another_person_in_the_same_place_after_a_cut_is_another(woman, astronaut_head):
    tracker = Tracker()
    for at_s, picture in enumerate([woman, woman, astronaut_head, astronaut_head, woman]):
        tracker.update(at_s, [face(135, size=45, y=45)], frame((picture, 90)))
    assert tracker.people == 2


def test_a_box_outside_the_frame_has_no_appearance(woman):
    shown = frame((woman, 90))
    assert appearance(shown, (500, 0, 540, 40)) is None
    assert float(appearance(shown, (130, 40, 180, 100)) @ appearance(shown, (130, 40, 180, 100))) == pytest.approx(1)


def test_a_long_live_track_does_not_grow():
    tracker = Tracker(keep=5)
    for at in range(50):
        (track,) = tracker.update(at, [face(0)])
    assert len(track.observations) == 5 and track.seen == 50


def test_faces_that_come_and_go_are_numbered_on_and_forgotten():
    tracker, seen = Tracker(patience=3), []
    for at in range(200):
        (track,) = tracker.update(at, [face(300 * at)])
        seen.append(weakref.ref(track))
    assert track.number == 200
    gc.collect()
    assert sum(one() is not None for one in seen) == 4


def test_overlap_is_that_of_torchvision():
    import torch
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 10, (20, 2, 2, 2))
    for first, second in np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=-1).tolist():
        wanted = box_iou(torch.tensor([first]), torch.tensor([second])).item()
        assert overlap(first, second) == pytest.approx(wanted, abs=1e-6)
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0
