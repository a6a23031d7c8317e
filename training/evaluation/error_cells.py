"""Judged faces -> the table of error rates that stands beside the weights, and whether it holds on other faces."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecheck import quality
from facecheck.calibration import verdict
from facecheck.error_rates import ErrorCell, Quality
from facecheck.model.config import ModelConfig
from facecheck.result import Verdict
from training.evaluation.metrics import (
    NORMAL_97_5,
    Floats,
    Ints,
    Words,
    balanced,
    clustered_interval,
    source_weights,
    wilson,
)

EDGES: dict[str, tuple[float, ...]] = {
    "face_px": (0, 24, 32, 48, 64, 96, 128, 192),
    "sharpness": (0, 1.5, 2.5, 4, 6, 10, 16),
    "blockiness": (0, 1.2, 1.5, 2, 2.5, 3.5),
    "turned": (0, 0.1, 0.2, 0.35),
}
SIZE_BANDS: tuple[tuple[float, float | None], ...] = ((0.0, 64.0), (64.0, None))
"""The other measurements are counted within each, because small faces are blurred ones too."""
ROUNDS = 200
SMALLEST_CELL = 30
"""Groups of each class; ranges with fewer are joined with the next."""


@dataclass(frozen=True)
class JudgedFace:
    """One delivered face.

    Attributes:
        source: "label/source".
        wrong: whether the answer forced at the threshold is wrong.
        flips: whether the answer changes with another delivery; False where that was not measured.
        face_px to turned: as in `facecheck.Quality`.
    """

    label: str
    source: str
    group: str
    p_fake: float
    wrong: bool
    face_px: float
    sharpness: float
    blockiness: float
    outside: float
    turned: float
    flips: bool = False


@dataclass(frozen=True)
class HeldOut:
    """A cell on faces that it was not made from.

    Attributes:
        inside: whether their error lies inside the cell's interval. Even of a true table a fifth of the cells fails
            this, for the error on the held-out faces is an estimate too.
        agrees: whether both errors could be one, by the two-proportion test at 5 %.
    """

    cell: ErrorCell
    faces: int
    error: float
    inside: bool
    agrees: bool


@dataclass(frozen=True)
class Part:
    """Accuracy of forced answers on some faces; balanced: the mean over both classes."""

    name: str
    faces: int
    accuracy: float
    balanced: float


def error_cells(judged: Sequence[JudgedFace], smallest: int = SMALLEST_CELL) -> tuple[ErrorCell, ...]:
    """The cells of every measurement in `EDGES`: of the size over all faces, of the others within each size band."""
    cells = _of_measure(judged, "face_px", smallest)
    for low, high in SIZE_BANDS:
        band = [face for face in judged if low <= face.face_px and (high is None or face.face_px < high)]
        for measure in EDGES:
            if measure != "face_px" and min(_groups(band)) >= smallest:
                cells += [replace(c, from_px=low, to_px=high) for c in _of_measure(band, measure, smallest)]
    return tuple(cells)


def held_out(cells: Sequence[ErrorCell], judged: Sequence[JudgedFace], smallest: int = SMALLEST_CELL) -> list[HeldOut]:
    """Each cell on other faces; cells with fewer than `smallest` groups of a class there are left out."""
    found = []
    for cell in cells:
        inside = [face for face in judged if cell.holds(vars(face))]
        if min(_groups(inside)) >= smallest:
            error = _balanced_error(inside)
            within = cell.error_low <= error <= cell.error_high
            found.append(HeldOut(cell, len(inside), error, within, _agree(cell, error, len(inside))))
    return found


def _agree(cell: ErrorCell, error: float, faces: int) -> bool:
    pooled = (cell.error * cell.faces + error * faces) / (cell.faces + faces)
    spread = (pooled * (1 - pooled) * (1 / cell.faces + 1 / faces)) ** 0.5
    return bool(abs(cell.error - error) <= NORMAL_97_5 * spread)


def stable_and_not(judged: Sequence[JudgedFace], config: ModelConfig) -> list[Part]:
    """Faces whose answer survives delivery and whose answer flips: all, and those that nothing else makes unclear."""
    answered = [face for face in judged if _answered(face, config)]
    parts = {
        "all, stable": [face for face in judged if not face.flips],
        "all, flips": [face for face in judged if face.flips],
        "answered, stable": [face for face in answered if not face.flips],
        "answered, flips": [face for face in answered if face.flips],
    }
    return [
        Part(name, len(faces), 1 - sum(face.wrong for face in faces) / len(faces), 1 - _balanced_error(faces))
        for name, faces in parts.items()
        if min(_groups(faces))
    ]


def _answered(face: JudgedFace, config: ModelConfig) -> bool:
    """Whether the face is good enough to be judged, and its score not too near to the threshold."""
    measured = Quality(face.face_px, face.sharpness, face.blockiness, face.outside, face.turned)
    return not quality.reasons(measured, config.limits) and verdict(face.p_fake, config.decision) != Verdict.UNCERTAIN


def _of_measure(judged: Sequence[JudgedFace], measure: str, smallest: int) -> list[ErrorCell]:
    cells: list[ErrorCell] = []
    edges = _joined(judged, measure, smallest)
    for low, high in itertools.pairwise((*edges, None)):
        assert low is not None
        probe = ErrorCell(measure, low, high, 0, 0.0, 0.0, 0.0)
        inside = [face for face in judged if probe.holds(vars(face))]
        real, fake = _groups(inside)
        if min(real, fake) == 0:
            continue
        # Of a mean of two shares, with n1 and n2 faces: the size of one sample that would be as sure.
        sure = 4 / (1 / real + 1 / fake)
        error = _balanced_error(inside)
        cells.append(ErrorCell(measure, low, high, len(inside), error, *_interval(inside, error, sure)))
    return cells


def _joined(judged: Sequence[JudgedFace], measure: str, smallest: int) -> list[float]:
    """The edges of `EDGES`, without those that would leave a cell too small."""
    kept: list[float] = []
    for low, high in itertools.pairwise((*EDGES[measure], float("inf"))):
        start = kept[-1] if kept else 0.0
        below = [face for face in judged if start <= getattr(face, measure) < low]
        if not kept or min(_groups(below)) >= smallest:
            kept.append(low)
        last = [face for face in judged if getattr(face, measure) >= kept[-1]]
        if len(kept) > 1 and high == float("inf") and min(_groups(last)) < smallest:
            kept.pop()
    return kept


def _groups(judged: Sequence[JudgedFace]) -> tuple[int, int]:
    """Groups among photographs and among fakes: near-duplicates are no further evidence."""
    real, fake = ({face.group for face in judged if face.label == label} for label in ("real", "fake"))
    return len(real), len(fake)


def _balanced_error(judged: Sequence[JudgedFace]) -> float:
    """Mean of the errors of both classes; sources weigh the same."""
    wrong, targets, sources = _columns(judged)
    return balanced(wrong, targets, source_weights(sources, targets))


def _interval(judged: Sequence[JudgedFace], error: float, sure: float) -> tuple[float, float]:
    """95 %: what the number of faces and what other sources might change."""
    wrong, targets, sources = _columns(judged)
    weights = source_weights(sources, targets)
    drawn = clustered_interval(lambda i: balanced(wrong[i], targets[i], weights[i]), sources, targets, ROUNDS)
    low, high = wilson(error * sure, sure)
    return min(low, drawn[0]), max(high, drawn[1])


def _columns(judged: Sequence[JudgedFace]) -> tuple[Floats, Ints, Words]:
    return (
        np.array([face.wrong for face in judged], dtype=np.float64),
        np.array([face.label == "fake" for face in judged], dtype=np.int64),
        np.array([face.source for face in judged], dtype=np.str_),
    )
