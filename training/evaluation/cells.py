"""Judged faces -> the table of error rates that stands beside the weights, and whether it holds on other faces."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from facecheck.evidence.error_rates import ErrorCell
from training.evaluation.hardship import Judged
from training.evaluation.metrics import wilson

EDGES: dict[str, tuple[float, ...]] = {
    "face_px": (0, 24, 32, 48, 64, 96, 128, 192),
    "sharpness": (0, 1.5, 2.5, 4, 6, 10, 16),
    "blockiness": (0, 1.2, 1.5, 2, 2.5, 3.5),
    "turned": (0, 0.1, 0.2, 0.35),
}
SMALLEST_CELL = 30
"""Groups of each class; ranges with fewer are joined with the next."""


@dataclass(frozen=True)
class HeldOut:
    """A cell on faces that it was not made from. `holds`: whether their error lies inside the cell's interval."""

    cell: ErrorCell
    faces: int
    error: float
    holds: bool


def error_cells(judged: Sequence[Judged], smallest: int = SMALLEST_CELL) -> tuple[ErrorCell, ...]:
    """The cells of every measurement in `EDGES`."""
    return tuple(cell for measure in EDGES for cell in _of_measure(judged, measure, smallest))


def held_out(cells: Sequence[ErrorCell], judged: Sequence[Judged], smallest: int = SMALLEST_CELL) -> list[HeldOut]:
    """Each cell on other faces; cells with fewer than `smallest` groups of a class there are left out."""
    found = []
    for cell in cells:
        inside = [face for face in judged if cell.holds(getattr(face, cell.measure))]
        if min(_groups(inside)) >= smallest:
            error = _balanced_error(inside)
            found.append(HeldOut(cell, len(inside), error, cell.error_low <= error <= cell.error_high))
    return found


def stable_and_not(judged: Sequence[Judged]) -> dict[str, tuple[int, float]]:
    """Number of faces, and accuracy of the answers given (no uncertain ones but for flipping), by stability."""
    parts = {"stable": [f for f in judged if not f.flips], "flips": [f for f in judged if f.flips]}
    return {name: (len(faces), 1 - _balanced_error(faces)) for name, faces in parts.items() if min(_groups(faces))}


def _of_measure(judged: Sequence[Judged], measure: str, smallest: int) -> list[ErrorCell]:
    cells: list[ErrorCell] = []
    edges = _joined(judged, measure, smallest)
    for low, high in itertools.pairwise((*edges, None)):
        assert low is not None
        probe = ErrorCell(measure, low, high, 0, 0.0, 0.0, 0.0)
        inside = [face for face in judged if probe.holds(getattr(face, measure))]
        real, fake = _groups(inside)
        if min(real, fake) == 0:
            continue
        # Of a mean of two shares, with n1 and n2 faces: the size of one sample that would be as sure.
        sure = 4 / (1 / real + 1 / fake)
        error = _balanced_error(inside)
        cells.append(ErrorCell(measure, low, high, len(inside), error, *wilson(error * sure, sure)))
    return cells


def _joined(judged: Sequence[Judged], measure: str, smallest: int) -> list[float]:
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


def _groups(judged: Sequence[Judged]) -> tuple[int, int]:
    """Groups among photographs and among fakes: near-duplicates are no further evidence."""
    real, fake = ({face.group for face in judged if face.label == label} for label in ("real", "fake"))
    return len(real), len(fake)


def _balanced_error(judged: Sequence[Judged]) -> float:
    shares = []
    for label in ("real", "fake"):
        wrong = [face.wrong for face in judged if face.label == label]
        shares.append(sum(wrong) / len(wrong))
    return sum(shares) / 2
