"""Groups hold every input once, in order, and shrink towards the end."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from facecheck.batching import WORKER_BYTES, WORKER_PICTURES, groups


@pytest.mark.parametrize("count", [0, 1, 3, 8, 21])
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_nothing_is_lost_or_moved(count, workers):
    inputs = [bytes([number]) for number in range(count)]
    made = list(groups(inputs, workers))
    assert [source for group in made for source in group] == inputs
    assert all(1 <= len(group) <= WORKER_PICTURES for group in made)


def test_the_last_groups_are_small_so_that_all_lanes_finish_together():
    sizes = [len(group) for group in groups([b"x"] * 40, 2)]
    assert sizes[0] == WORKER_PICTURES
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-2:] == [1, 1]


def test_large_inputs_come_alone():
    large = b"x" * WORKER_BYTES
    assert [len(group) for group in groups([large] * 6, 2)] == [1] * 6
    assert [len(group) for group in groups([b"x", large, b"x", b"x"], 1)] == [2, 2]


def test_endless_inputs_are_taken_as_they_are_needed():
    taken = []
    made = groups((taken.append(number) or b"x" for number in itertools.count()), 2)
    assert not taken
    next(made)
    assert len(taken) == 2 * WORKER_PICTURES
    next(made)
    assert len(taken) == 3 * WORKER_PICTURES


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray, torch.from_numpy])
def test_large_decoded_pictures_are_not_hoarded(kind):
    taken, picture = [], kind(np.zeros((3000, 4000, 3), np.uint8))
    made = groups((taken.append(1) or picture for _ in itertools.count()), 2)
    next(made)
    assert len(taken) <= 2
