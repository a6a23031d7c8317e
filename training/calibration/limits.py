"""The limits beyond which a face is not judged, chosen on validation data.

They are measured, not guessed: faces are reduced, blurred, compressed and cut step by step, and a face is answered with
`uncertain` where the balanced accuracy of forced answers falls under `ACCEPTABLE`; or, if a model hardly reaches that
on faces as they are, where it has lost more than `ACCEPTABLE_LOSS`.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecheck import crop, quality
from facecheck.checker import FaceChecker
from facecheck.error_rates import Quality
from facecheck.model.checkpoint import Model
from facecheck.model.config import Limits
from training.data import FaceFile, read_rgb
from training.evaluation.corruptions import Corruption, blurred, compressed, cut_off, shrunk
from training.evaluation.metrics import Floats, balanced
from training.markdown import table

ACCEPTABLE, ACCEPTABLE_LOSS = 0.9, 0.07
SMALLEST_BIN = 60


@dataclass(frozen=True)
class Sweep:
    """One way of losing evidence: corruption levels from harmless to hopeless, and the measurement that tells.

    Attributes:
        enforced: False where the corruption is measured and reported but makes no limit.
    """

    limit: str
    corruption: Corruption
    levels: tuple[float, ...]
    measurement: Callable[[Quality], float]
    more_is_better: bool
    bins: tuple[float, ...]
    enforced: bool = True


SWEEPS = (
    Sweep("min_face_px", shrunk, (224, 96, 72, 56, 44, 36, 28, 20), lambda q: q.face_px, True,
          (16, 24, 32, 40, 48, 64, 80, 112)),
    Sweep("min_sharpness", blurred, (0.1, 0.7, 1.0, 1.5, 2.0, 3.0, 4.5), lambda q: q.sharpness, True,
          (0, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15)),
    Sweep("max_blockiness", compressed, (90, 40, 25, 18, 12, 8, 5), lambda q: q.blockiness, False,
          (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 6)),
    # Portraits that were framed this tightly (two real sources, two generators) are judged as well as others; only a
    # face that was cut afterwards is not, and the box alone cannot tell the two apart.
    Sweep("max_outside", cut_off, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), lambda q: q.outside, False,
          (0, 0.05, 0.15, 0.25, 0.35, 0.45), enforced=False),
)  # fmt: skip


@dataclass(frozen=True)
class Bin:
    """Balanced accuracy of forced answers where the measurement lies in [low, high)."""

    low: float
    high: float
    faces: int
    accuracy: float


def measure_limits(model: Model, rows: Sequence[FaceFile], device: str = "auto") -> tuple[Limits, dict[str, list[Bin]]]:
    """The limits for a calibrated model, and the table of measured errors that they were read from."""
    checker = FaceChecker(replace(model, config=replace(model.config, limits=Limits())), device=device, engine="torch")
    scores = {sweep.limit: _corrupted_scores(checker, sweep, rows) for sweep in SWEEPS}
    tables = {sweep.limit: _bins(sweep, *scores[sweep.limit]) for sweep in SWEEPS}
    limits = {
        sweep.limit: _limit(sweep, tables[sweep.limit], _acceptable(sweep, *scores[sweep.limit]))
        for sweep in SWEEPS
        if sweep.enforced
    }
    return Limits(**limits), tables


def _acceptable(sweep: Sweep, _: Floats, right: Floats, targets: Floats) -> float:
    """The balanced accuracy that a face must promise; of every row the first level is the harmless one."""
    first = slice(None, None, len(sweep.levels))
    return min(ACCEPTABLE, balanced(right[first], targets[first].astype(np.int64)) - ACCEPTABLE_LOSS)


def _corrupted_scores(checker: FaceChecker, sweep: Sweep, rows: Sequence[FaceFile]) -> tuple[Floats, Floats, Floats]:
    """(measurement, right or wrong, target) of every row at every level."""
    rng = np.random.default_rng(0)
    config, found = checker.config, []
    for row in rows:
        image, box = read_rgb(row.path), np.array(row.box)
        corrupted = [sweep.corruption(image, box, level, rng) for level in sweep.levels]
        faces = np.stack(
            [crop.face(picture, place, config.input_size, config.crop_margin) for picture, place in corrupted]
        )
        p_fake = checker.p_fake(faces, face_px=[float(max(place[2:] - place[:2])) for _, place in corrupted])
        for (picture, place), face, p in zip(corrupted, faces, p_fake, strict=True):
            value = sweep.measurement(quality.measure(picture, place, face))
            found.append((value, float((p >= config.decision.threshold) == row.target), row.target))
    values, right, targets = np.array(found, dtype=np.float64).T
    return values, right, targets


def _bins(sweep: Sweep, values: Floats, right: Floats, targets: Floats) -> list[Bin]:
    edges = (*sweep.bins, float("inf"))
    bins = []
    for low, high in itertools.pairwise(edges):
        inside = (values >= low) & (values < high)
        count = int(min(inside[targets == 1].sum(), inside[targets == 0].sum()) * 2)
        if count >= SMALLEST_BIN:
            bins.append(Bin(low, high, int(inside.sum()), balanced(right[inside], targets[inside].astype(np.int64))))
    return bins


def _limit(sweep: Sweep, bins: Sequence[Bin], acceptable: float = ACCEPTABLE) -> float:
    """The end of the unbroken run of acceptable bins that starts at the harmless side."""
    if not bins:
        raise ValueError(f"too few faces to measure {sweep.limit}: no bin has {SMALLEST_BIN} of them")
    ordered = sorted(bins, key=lambda b: b.low, reverse=sweep.more_is_better)
    limit = ordered[0].low if sweep.more_is_better else ordered[0].high
    for b in ordered:
        if b.accuracy < acceptable:
            break
        limit = b.low if sweep.more_is_better else b.high
    # Nothing above the last bin was measured as bad: no limit.
    return limit if np.isfinite(limit) else getattr(Limits(), sweep.limit)


def limits_markdown(tables: dict[str, list[Bin]]) -> str:
    """The measured errors as one markdown table."""
    rows = (
        (name, f"{b.low:g}", f"{b.high:g}", b.faces, f"{b.accuracy:.3f}") for name, bins in tables.items() for b in bins
    )
    return table(["limit", "from", "to", "faces", "balanced accuracy"], rows)
