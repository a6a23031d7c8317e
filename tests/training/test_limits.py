"""The limits are read from measured errors, and every damage does what it says."""

import numpy as np
import pytest
from PIL import Image

from facecheck.models import Limits
from training.data import FaceFile
from training.limits import SWEEPS, Bin, _cut, _limit, measure_limits


def test_limits_end_where_the_measured_accuracy_falls():
    sizes, blocks = SWEEPS[0], SWEEPS[2]
    ladder = [
        Bin(16, 24, 99, 0.6),
        Bin(24, 32, 99, 0.9),
        Bin(32, 48, 99, 0.8),
        Bin(48, 64, 99, 0.9),
        Bin(64, np.inf, 99, 0.95),
    ]
    assert _limit(sizes, ladder) == 48
    assert _limit(blocks, [Bin(1, 2, 99, 0.95), Bin(2, 3, 99, 0.9), Bin(3, np.inf, 99, 0.7)]) == 3
    assert _limit(blocks, [Bin(1, 2, 99, 0.95), Bin(2, np.inf, 99, 0.9)]) == Limits().max_blockiness


def test_too_few_faces_are_no_measurement():
    with pytest.raises(ValueError, match="too few validation faces"):
        _limit(SWEEPS[0], [])


def test_every_damage_moves_its_measurement(tiny_model, astronaut, tmp_path):
    Image.fromarray(astronaut[:300, 80:380]).save(tmp_path / "a.png")
    rows = [
        FaceFile(tmp_path / "a.png", label, "s", "val", label, (100, 40, 230, 190)) for label in ("real", "fake")
    ] * 40
    _, tables = measure_limits(tiny_model, rows, "cpu")
    assert all(len(bins) >= 3 for bins in tables.values()), tables


@pytest.mark.parametrize("seed", range(8))
def test_cutting_takes_the_share_it_says_from_one_side(seed):
    picture = np.random.default_rng(0).integers(0, 256, (200, 240, 3), np.uint8)
    box = np.array([60.0, 50.0, 160.0, 150.0])
    cut, moved = _cut(picture, box, 0.3, np.random.default_rng(seed))
    inside = np.clip(moved, 0, (cut.shape[1], cut.shape[0]) * 2)
    assert np.prod(moved[2:] - moved[:2]) == pytest.approx(100 * 100)
    assert np.prod(inside[2:] - inside[:2]) == pytest.approx(100 * 70)
    x0, y0, x1, y1 = inside.astype(int)
    # What is left of the face is the same pixels as before.
    windows = np.lib.stride_tricks.sliding_window_view(picture[50:150, 60:160], (y1 - y0, x1 - x0, 3))
    assert (windows == cut[y0:y1, x0:x1]).all(axis=(3, 4, 5)).any()
