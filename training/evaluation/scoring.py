"""The whole pipeline on labelled files, from JPEG bytes to verdict, in three delivery tiers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from facecheck import image
from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from facecheck.result import Prediction
from training.data import FaceFile
from training.evaluation.scores import FACTS, Scores
from training.tiers import TIERS, delivered


@dataclass(frozen=True)
class Scored:
    """One file, judged. `detected` is False where MTCNN missed the face and the manifest's box was used."""

    row: FaceFile
    prediction: Prediction
    detected: bool


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
    return Prediction(str(row.path), faces=checker.judge([pixels], [Detections.at(box)])[0])


def score_tiers(
    checker: FaceChecker, rows: Sequence[FaceFile], root: Path, tiers: Sequence[str] = tuple(TIERS)
) -> Scores:
    """Every row in every tier, as a table; `root` is the folder of the manifest."""
    threshold = checker.config.decision.threshold
    return Scores.from_rows(
        columns(item, tier, root, threshold)
        for tier in tiers
        for item in tqdm(score(checker, rows, tier), desc=tier, total=len(rows), unit="face", disable=None)
    )


def columns(item: Scored, tier: str, root: Path, threshold: float) -> dict[str, Any]:
    """One row of a score table."""
    row, prediction = item.row, item.prediction
    return {name: getattr(row, name) for name in FACTS} | {
        "file": row.path.relative_to(root).as_posix(),
        "tier": tier,
        "p_fake": prediction.p_fake,
        "threshold": threshold,
        "verdict": str(prediction.verdict),
        "detected": item.detected,
        "face_px": max(face.size_px for face in prediction.faces),
    }
