"""Every damage does what it says."""

import numpy as np
import pytest

from training.evaluation.damage import cut_off, noisy


@pytest.mark.parametrize("seed", range(8))
def test_cutting_takes_the_share_it_says_from_one_side(seed):
    picture = np.random.default_rng(0).integers(0, 256, (200, 240, 3), np.uint8)
    box = np.array([60.0, 50.0, 160.0, 150.0])
    cut, moved = cut_off(picture, box, 0.3, np.random.default_rng(seed))
    inside = np.clip(moved, 0, (cut.shape[1], cut.shape[0]) * 2)
    assert np.prod(moved[2:] - moved[:2]) == pytest.approx(100 * 100)
    assert np.prod(inside[2:] - inside[:2]) == pytest.approx(100 * 70)
    x0, y0, x1, y1 = inside.astype(int)
    # What is left of the face is the same pixels as before.
    windows = np.lib.stride_tricks.sliding_window_view(picture[50:150, 60:160], (y1 - y0, x1 - x0, 3))
    assert (windows == cut[y0:y1, x0:x1]).all(axis=(3, 4, 5)).any()


def test_noise_has_the_sigma_it_says():
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise, _ = noisy(grey, np.zeros(4), 6.0, np.random.default_rng(0))
    assert (noise.astype(float) - 128).std() == pytest.approx(6.0, rel=0.03)
