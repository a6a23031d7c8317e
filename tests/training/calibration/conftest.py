"""Calibration sets that are made up."""

from pathlib import Path

import numpy as np
import pytest

from training.calibration.calibration_set import CalibrationSet
from training.data import FaceFile
from training.evaluation.observations import SMALL


def _faces(count=600, seed=0, face_px=None, shift=0.0):
    """A validation set of `count` files in two tiers, four sources a class, groups of two."""
    rng = np.random.default_rng(seed)
    targets = np.tile(rng.integers(0, 2, count), 2)
    sizes = np.exp(rng.uniform(np.log(24), np.log(300), 2 * count)) if face_px is None else np.full(2 * count, face_px)
    logits = 2.0 * (rng.normal(size=2 * count) + (2 * targets - 1) * 1.5) + shift
    sources = np.array([f"{('real', 'fake')[t]}/s{i % 4}" for i, t in enumerate(targets)])
    groups = np.array([f"{t}-{i % count // 2}" for i, t in enumerate(targets)])
    return CalibrationSet(logits, sizes, targets, sources, groups, np.repeat(["clean", SMALL], count))


def _files(data):
    """A row of a manifest for each file of a calibration set."""
    first = {(source, group): k for k, (source, group) in enumerate(zip(data.sources, data.groups, strict=True))}
    return [
        FaceFile(Path("x"), source[:4], source[5:], "world", f"{group}", (0, 0, 1, 1), source[5:] * (source[0] == "f"))
        for source, group in first
    ]


@pytest.fixture(scope="session")
def faces():
    """Makes a calibration set of count, seed, face_px and shift."""
    return _faces


@pytest.fixture(scope="session")
def files():
    """Makes a row of a manifest for each file of a calibration set."""
    return _files
