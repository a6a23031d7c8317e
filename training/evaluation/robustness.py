"""Robustness curves: the same faces, damaged step by step, one kind of damage at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from training.augment import Box, Picture
from training.data import FaceFile, read_rgb
from training.evaluation.damage import Damage, blurred, compressed, cut_off, noisy, shrunk
from training.evaluation.metrics import report


@dataclass(frozen=True)
class Curve:
    """One kind of damage, its levels from harmless to hopeless, and the unit of the levels."""

    name: str
    unit: str
    damage: Damage
    levels: tuple[float, ...]


CURVES = (
    Curve("jpeg", "JPEG quality", compressed, (95, 75, 50, 30, 15)),
    Curve("scale", "face, px", shrunk, (160, 96, 64, 48, 32, 24)),
    Curve("blur", "Gaussian sigma, px", blurred, (0.5, 1, 1.5, 2, 3)),
    Curve("noise", "Gaussian sigma, grey levels", noisy, (2, 5, 10, 15, 25)),
    Curve("crop", "share of the face cut off", cut_off, (0.1, 0.2, 0.3, 0.4, 0.5)),
)


@dataclass(frozen=True)
class CurvePoint:
    """All chosen faces at one level of one damage.

    Attributes:
        forced: balanced accuracy at the threshold. caught: share of the fakes. false_alarms: share of the photographs.
    """

    curve: str
    unit: str
    level: float
    faces: int
    auc: float
    forced: float
    caught: float
    false_alarms: float


def stratified(rows: Sequence[FaceFile], faces: int, seed: int = 0) -> list[FaceFile]:
    """`faces` / 2 of each class, drawn evenly from its sources, as far as they reach; always the same ones."""
    rng = np.random.default_rng(seed)
    chosen: list[FaceFile] = []
    for label in ("real", "fake"):
        mine = [row for row in rows if row.label == label]
        piles = [
            rng.permutation(np.flatnonzero([row.source == source for row in mine]))
            for source in sorted({row.source for row in mine})
        ]
        # Every source gives its first, then its second, and so on.
        order = sorted((turn, pile, int(index)) for pile, rest in enumerate(piles) for turn, index in enumerate(rest))
        chosen += [mine[index] for _, _, index in order[: faces // 2]]
    return chosen


def measure_curves(checker: FaceChecker, rows: Sequence[FaceFile], seed: int = 0) -> list[CurvePoint]:
    """Every level of `CURVES` on every row, with the known box scaled along."""
    rng = np.random.default_rng(seed)
    steps = [(curve, level) for curve in CURVES for level in curve.levels]
    found = []
    for row in tqdm(rows, desc="curves", unit="face", disable=None):
        image, box = read_rgb(row.path), np.array(row.box)
        found.append(_judged(checker, [curve.damage(image, box, level, rng) for curve, level in steps]))
    scores, targets = np.array(found), np.array([row.target for row in rows], dtype=np.int64)
    forced = ((scores >= checker.config.decision.threshold) == targets[:, None]).astype(np.float64)
    points = []
    for k, (curve, level) in enumerate(steps):
        part, right = report(scores[:, k], targets, forced[:, k], forced[:, k]), forced[:, k]
        caught, cleared = float(right[targets == 1].mean()), float(right[targets == 0].mean())
        points.append(CurvePoint(curve.name, curve.unit, level, len(rows), part.auc, part.forced, caught, 1 - cleared))
    return points


def _judged(checker: FaceChecker, damaged: Sequence[tuple[Picture, Box]]) -> list[float]:
    places = [
        Detections(box[None].astype(np.float32), np.zeros((1, 5, 2), np.float32), np.zeros(1, np.float32))
        for _, box in damaged
    ]
    faces = checker.judge([picture for picture, _ in damaged], places)
    return [face.p_fake for (face,) in faces]
