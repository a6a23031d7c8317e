"""The whole pipeline on labelled files, from JPEG bytes to verdict, in three delivery tiers."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.metrics import roc_auc_score

from facecheck import image
from facecheck.checker import FaceChecker
from facecheck.detection import Detections
from facecheck.result import Prediction, Verdict
from training.data import FaceFile
from training.metrics import FALSE_ALARM_RATES, Floats, Ints, Report, clustered_interval, report

TIERS: dict[str, tuple[int, int] | None] = {"clean": None, "web": (768, 60), "hard": (512, 40)}
"""Name -> (longest side in pixels, JPEG quality); None leaves the file as it is."""


@dataclass(frozen=True)
class Scored:
    """One file, judged. `detected` is False where MTCNN missed the face and the manifest's box was used."""

    row: FaceFile
    prediction: Prediction
    detected: bool


def delivered(data: bytes, tier: str) -> bytes:
    """The file as it arrives through a tier; both classes alike."""
    settings = TIERS[tier]
    if settings is None:
        return data
    side, quality = settings
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def score(checker: FaceChecker, rows: Sequence[FaceFile], tier: str) -> Iterator[Scored]:
    """Judge every row's file, in order."""
    files = (delivered(row.path.read_bytes(), tier) for row in rows)
    for row, prediction in zip(rows, checker.stream(files), strict=True):
        if prediction.error is not None:
            raise ValueError(f"{row.path}: {prediction.error}")
        detected = bool(prediction.faces)
        yield Scored(row, prediction if detected else _at_known_box(checker, row, tier), detected)


def _at_known_box(checker: FaceChecker, row: FaceFile, tier: str) -> Prediction:
    pixels = image.load(delivered(row.path.read_bytes(), tier))
    # The manifest's box is in the pixels of the file as stored.
    with Image.open(row.path) as stored:
        scale = pixels.shape[1] / stored.width
    box = np.array([row.box], np.float32) * np.float32(scale)
    place = Detections(box, np.zeros((1, 5, 2), np.float32), np.zeros(1, np.float32))
    return Prediction(str(row.path), faces=checker.judge([pixels], [place])[0])


@dataclass(frozen=True)
class Columns:
    """Scored files as (N,) arrays; credit and forced as in `training.metrics.report`."""

    scores: Floats
    targets: Ints
    credit: Floats
    forced: Floats
    sources: npt.NDArray[np.str_]

    def report(self) -> Report:
        """All metrics of these files."""
        return report(self.scores, self.targets, self.credit, self.forced)


def columns(scored: Sequence[Scored], threshold: float) -> Columns:
    """The scored files side by side; `threshold` forces an answer where the verdict is uncertain."""
    scores = np.array([item.prediction.p_fake for item in scored], dtype=np.float64)
    targets = np.array([item.row.target for item in scored], dtype=np.int64)
    uncertain = np.array([item.prediction.verdict == Verdict.UNCERTAIN for item in scored])
    right = np.array([item.prediction.verdict == item.row.label for item in scored])
    return Columns(
        scores,
        targets,
        np.where(uncertain, 0.5, right.astype(np.float64)),
        ((scores >= threshold) == targets).astype(np.float64),
        np.array([f"{item.row.label}/{item.row.source}" for item in scored]),
    )


def markdown(tiers: dict[str, list[Scored]], threshold: float) -> str:
    """The evaluation as two markdown tables: a line for each tier, and a line for each source."""
    data = {tier: columns(scored, threshold) for tier, scored in tiers.items()}
    rates = " | ".join(f"TPR@{rate:.1%} FPR" for rate in FALSE_ALARM_RATES)
    lines = [
        f"| tier | balanced accuracy | forced | coverage | AUC [95 %] | AP | {rates} | ECE | Brier | missed by MTCNN |",
        "|---|" + "---|" * (8 + len(FALSE_ALARM_RATES)),
    ]
    for tier, part in data.items():
        missed = sum(not item.detected for item in tiers[tier])
        lines.append(f"| {tier} | {_tier_cells(part)} | {missed} of {len(part.scores)} |")
    lines += ["", "| source | faces | " + " | ".join(f"{tier}: right / uncertain" for tier in data) + " |"]
    lines += ["|---|---|" + "---|" * len(data)]
    first = next(iter(data.values()))
    for source in np.unique(first.sources):
        cells = (_source_cell(part, source) for part in data.values())
        lines.append(f"| {source} | {(first.sources == source).sum()} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _tier_cells(part: Columns) -> str:
    result = part.report()
    low, high = clustered_interval(
        lambda index: float(roc_auc_score(part.targets[index], part.scores[index])), part.sources, part.targets
    )
    tpr = " | ".join(f"{value:.3f}" for value in result.tpr_at)
    return (
        f"{result.balanced_accuracy:.3f} | {result.forced:.3f} | {result.coverage:.3f} | "
        f"{result.auc:.4f} [{low:.3f}, {high:.3f}] | {result.ap:.4f} | {tpr} | {result.ece:.3f} | {result.brier:.3f}"
    )


def _source_cell(part: Columns, source: str) -> str:
    credit = part.credit[part.sources == source]
    return f"{(credit == 1).mean():.1%} / {(credit == 0.5).mean():.1%}"
