"""Boxes against torchvision's suppression and hand-made numbers."""

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from facecheck.detection.candidates import Candidates, nms_over_smaller, squared


def some(count: int, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 300, (count, 2))
    boxes = np.hstack([start, start + rng.uniform(20, 90, (count, 1))]).astype(np.float32)
    return Candidates(
        boxes,
        rng.permutation(np.linspace(0.6, 1, count)).astype(np.float32),
        rng.normal(0, 0.1, (count, 4)).astype(np.float32),
        rng.integers(0, 4, count),
    )


@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("count", [1, 2, 50, 700])
def test_suppression_is_torchvisions(count, overlap):
    given = some(count)
    kept = batched_nms(*(torch.from_numpy(part) for part in (given.boxes, given.scores, given.owner)), overlap)
    found = given.nms(overlap)
    np.testing.assert_array_equal(np.sort(found.scores), np.sort(given.scores[kept.numpy()]))


def test_nothing_stays_nothing():
    empty = some(0)
    assert len(empty.nms(0.5)) == len(empty.top(3)) == 0
    assert squared(empty.regressed()).shape == (0, 4)


def test_the_best_of_each_picture():
    given = some(100)
    found = given[given.top(5)]
    for owner in range(4):
        mine = np.sort(given.scores[given.owner == owner])[-5:]
        np.testing.assert_array_equal(np.sort(found.scores[found.owner == owner]), mine)


def test_the_best_of_other_groups():
    given, parity = some(100), np.arange(100) % 2
    found = given.top(7, parity)
    assert np.all(np.diff(given.scores[found]) < 0)
    for group in range(2):
        mine = np.argsort(-given.scores * (parity == group))[:7]
        assert set(found[parity[found] == group]) == set(mine)


def test_offsets_are_in_sides_of_the_box():
    box = np.array([[10, 20, 30, 60]], np.float32)
    given = Candidates(box, np.ones(1, np.float32), np.array([[0.5, 0, -0.5, 0.1]], np.float32), np.zeros(1, np.int64))
    np.testing.assert_allclose(given.regressed(reach=0), [[20, 20, 20, 64]])
    np.testing.assert_allclose(given.regressed(), [[20.5, 20, 19.5, 64.1]])


def test_squares_keep_the_centre_and_the_longer_side():
    np.testing.assert_allclose(squared(np.array([[10, 20, 30, 60]], np.float32)), [[0, 20, 40, 60]])


def test_a_face_inside_a_face_goes():
    boxes = np.array([[0, 0, 100, 100], [30, 30, 60, 60], [200, 0, 300, 100]], np.float32)
    assert sorted(nms_over_smaller(boxes, np.array([0.9, 0.8, 0.95], np.float32))) == [0, 2]
