"""The limits are read from measured errors, and every corruption does what it says."""

import numpy as np
import pytest
from PIL import Image

from facecheck.model.config import Limits
from training.calibration.limits import SWEEPS, Bin, _acceptable, _limit, measure_limits
from training.data import FaceFile


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


def test_a_model_that_is_not_so_good_on_unseen_sources_still_answers():
    """Without harm it is right on 84 %: what counts is where that is lost."""
    sizes = SWEEPS[0]
    right = np.tile([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], 50)
    right[::8][:8] = 0
    targets = np.repeat(np.arange(50) % 2, 8).astype(float)
    acceptable = _acceptable(sizes, right, right, targets)
    assert acceptable == pytest.approx(0.84 - 0.07)
    ladder = [Bin(24, 32, 99, 0.7), Bin(32, 48, 99, 0.8), Bin(48, np.inf, 99, 0.84)]
    assert _limit(sizes, ladder, acceptable) == 32
    assert _acceptable(sizes, right, np.ones(400), targets) == 0.9


def test_too_few_faces_are_no_measurement():
    with pytest.raises(ValueError, match="too few faces"):
        _limit(SWEEPS[0], [])


def test_every_corruption_moves_its_measurement(tiny_model, astronaut, tmp_path, monkeypatch):
    monkeypatch.setattr("training.calibration.limits.SMALLEST_BIN", 4)
    Image.fromarray(astronaut[:300, 80:380]).save(tmp_path / "a.png")
    rows = [
        FaceFile(tmp_path / "a.png", label, "s", "val", label, (100, 40, 230, 190)) for label in ("real", "fake")
    ] * 3
    _, tables = measure_limits(tiny_model, rows, "cpu")
    assert all(len(bins) >= 3 for bins in tables.values()), tables
