"""What is done to pictures, and what comes of it: corruptions, one at a time, and processing as phones and apps do it.

Each corruption loses evidence to a known degree: it takes (H, W, 3) uint8 RGB, the xyxy box of the face in pixels, a
level and a source of chance, and returns the corrupted picture and the box in its pixels. Curves show how a model bears
them. The limits beyond which a face is not judged are measured by them too, not guessed: faces are reduced, blurred,
compressed and cut step by step, and a face is answered with `uncertain` where the balanced accuracy of forced answers
falls under `ACCEPTABLE`; or, if a model hardly reaches that on faces as they are, where it has lost more than
`ACCEPTABLE_LOSS`.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from tqdm import tqdm

from facecheck import crop, quality
from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from facecheck.error_rates import Quality
from facecheck.model.checkpoint import Model
from facecheck.model.config import Limits
from facecheck.result import Face
from training.augment import cut, recompress, reduced
from training.data import FaceFile, read_rgb
from training.evaluation.metrics import Floats, balanced, report, table
from training.processing import PROCESSES, Box, Picture

Corruption = Callable[[Picture, Box, float, np.random.Generator], tuple[Picture, Box]]


def shrunk(image: Picture, box: Box, face_px: float, _: np.random.Generator) -> tuple[Picture, Box]:
    """The face brought down to at most `face_px` pixels."""
    return reduced(image, box, face_px)


def blurred(image: Picture, box: Box, sigma: float, _: np.random.Generator) -> tuple[Picture, Box]:
    """Gaussian blur, sigma in pixels of the file."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8), box


def compressed(image: Picture, box: Box, jpeg_quality: float, _: np.random.Generator) -> tuple[Picture, Box]:
    """Saved once more as JPEG."""
    return recompress(image, int(jpeg_quality)), box


def noisy(image: Picture, box: Box, sigma: float, rng: np.random.Generator) -> tuple[Picture, Box]:
    """White Gaussian noise on every channel, sigma in grey levels."""
    return np.clip(np.rint(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8), box


def cut_off(image: Picture, box: Box, share: float, rng: np.random.Generator) -> tuple[Picture, Box]:
    """A side of the picture, drawn by chance, takes `share` of the face's width or height away."""
    return cut(image, box, share, int(rng.integers(4)))


@dataclass(frozen=True)
class Curve:
    """One kind of corruption, its levels from harmless to hopeless, and the unit of the levels."""

    name: str
    unit: str
    corruption: Corruption
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
    """All chosen faces at one level of one corruption.

    Attributes:
        forced_choice: balanced accuracy at the threshold. true_positive_rate: of the fakes. false_positive_rate: of the
            photographs.
    """

    curve: str
    unit: str
    level: float
    faces: int
    auc: float
    forced_choice: float
    true_positive_rate: float
    false_positive_rate: float


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
        made = [curve.corruption(image, box, level, rng) for curve, level in steps]
        found.append([face.p_fake for face in judged_at(checker, made)])
    scores, targets = np.array(found), np.array([row.target for row in rows], dtype=np.int64)
    forced_choice = ((scores >= checker.config.decision.threshold) == targets[:, None]).astype(np.float64)
    points = []
    for k, (curve, level) in enumerate(steps):
        part, right = report(scores[:, k], targets, forced_choice[:, k], forced_choice[:, k]), forced_choice[:, k]
        tpr, tnr = float(right[targets == 1].mean()), float(right[targets == 0].mean())
        points.append(CurvePoint(curve.name, curve.unit, level, len(rows), part.auc, part.forced_choice, tpr, 1 - tnr))
    return points


def judged_at(checker: FaceChecker, made: Sequence[tuple[Picture, Box]]) -> list[Face]:
    """One face in each picture, at a known box."""
    places = [Detections.at(box) for _, box in made]
    return [face for (face,) in checker.judge([picture for picture, _ in made], places)]


@dataclass(frozen=True)
class Processed:
    """All chosen photographs after one kind of processing.

    Attributes:
        process: a name of `training.processing.PROCESSES`.
        false_positive_rate: share called generated at the threshold. called_fake: share whose verdict is `fake`.
    """

    process: str
    photographs: int
    false_positive_rate: float
    called_fake: float


def measure_processing(checker: FaceChecker, photographs: Sequence[FaceFile], seed: int = 0) -> list[Processed]:
    """Every kind of processing on every photograph, sources weighing the same.

    Args:
        photographs: real faces; each is judged at its known box.
    """
    sources = [row.source for row in photographs]
    weights = np.array([1 / sources.count(source) for source in sources])
    over, fake = (np.zeros((len(photographs), len(PROCESSES))) for _ in range(2))
    for index, row in enumerate(tqdm(photographs, desc="processed", unit="face", disable=None)):
        picture, box = read_rgb(row.path), np.array(row.box)
        made = [
            (process(picture, box, np.random.default_rng((seed, index, kind))), box)
            for kind, process in enumerate(PROCESSES.values())
        ]
        faces = judged_at(checker, made)
        over[index] = [face.p_fake >= checker.config.decision.threshold for face in faces]
        fake[index] = [face.verdict == "fake" for face in faces]
    shares = zip(
        PROCESSES, np.average(over, axis=0, weights=weights), np.average(fake, axis=0, weights=weights), strict=True
    )
    return [Processed(name, len(photographs), float(rate), float(called)) for name, rate, called in shares]


def processing_markdown(found: Sequence[tuple[str, Sequence[Processed]]]) -> str:
    """One table of several models by title: the false positive rate, in brackets the share of `fake` verdicts."""
    rows = (
        (row[0].process, *(f"{point.false_positive_rate:.1%} ({point.called_fake:.1%})" for point in row))
        for row in zip(*(points for _, points in found), strict=True)
    )
    return table(["photographs", *(title for title, _ in found)], rows)


ACCEPTABLE, ACCEPTABLE_LOSS = 0.9, 0.07
SMALLEST_BIN = 60


@dataclass(frozen=True)
class Sweep:
    """One way of losing evidence: corruption levels from harmless to hopeless, and the measurement that tells."""

    limit: str
    corruption: Corruption
    levels: tuple[float, ...]
    measurement: Callable[[Quality], float]
    more_is_better: bool
    bins: tuple[float, ...]


SWEEPS = (
    Sweep("min_face_px", shrunk, (224, 96, 72, 56, 44, 36, 28, 20), lambda q: q.face_px, True,
          (16, 24, 32, 40, 48, 64, 80, 112)),
    Sweep("min_sharpness", blurred, (0.1, 0.7, 1.0, 1.5, 2.0, 3.0, 4.5), lambda q: q.sharpness, True,
          (0, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15)),
    Sweep("max_blockiness", compressed, (90, 40, 25, 18, 12, 8, 5), lambda q: q.blockiness, False,
          (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 6)),
    Sweep("max_outside", cut_off, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), lambda q: q.outside, False,
          (0, 0.05, 0.15, 0.25, 0.35, 0.45)),
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
        sweep.limit: _limit(sweep, tables[sweep.limit], _acceptable(sweep, *scores[sweep.limit])) for sweep in SWEEPS
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
