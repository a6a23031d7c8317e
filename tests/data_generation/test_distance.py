"""The kernel distance, against the formula written out pair by pair."""

import itertools

import numpy as np
import pytest

from data_generation.tiny.distance import kernel_distance


def test_it_is_the_unbiased_estimate_of_the_squared_discrepancy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(7, 5)), rng.normal(1, 1, size=(7, 5))

    def kernel(a, b):
        return (float(a @ b) / 5 + 1) ** 3

    within = [np.mean([kernel(a, b) for a, b in itertools.permutations(rows, 2)]) for rows in (first, second)]
    across = np.mean([kernel(a, b) for a, b in itertools.product(first, second)])
    found = kernel_distance(first, second, subset=7, rounds=1)
    assert found.mean == pytest.approx(sum(within) - 2 * across)


def test_two_samples_of_one_distribution_are_near_and_others_far():
    rng = np.random.default_rng(1)
    first, second, other = rng.normal(size=(300, 16)), rng.normal(size=(300, 16)), rng.normal(0.5, 1, size=(300, 16))
    near, far = kernel_distance(first, second, subset=200, rounds=20), kernel_distance(first, other, 200, 20)
    assert abs(near.mean) < 0.1 * far.mean
    assert far.deviation < far.mean
