"""Faces as they come: each file of a split delivered in a way drawn by chance, measured and judged, one line each.

The lines are what `training.evaluation.error_cells` counts errors by face size, sharpness, compression and pose from.
"""

import csv
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from facecheck import crop, quality
from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from facecheck.files import write_atomically
from facecheck.image import Pixels
from facecheck.result import Face
from training.augment import recompress, reduced
from training.data import FaceFile, read_rgb
from training.evaluation.corruptions import blurred

FACE_PX, JPEG_QUALITY, BLUR, BLURRED_SHARE = (20.0, 256.0), (25, 95), (0.4, 2.5), 0.3
BATCH, DECIMALS = 16, 4


@dataclass(frozen=True)
class Judged:
    """One delivered face.

    Attributes:
        wrong: 1 where the answer forced at the threshold is wrong, else 0.
        low, high, flips: of its stability; nan and 0 where that was not measured.
        face_px to turned: as in `facecheck.quality.Quality`.
    """

    file: str
    label: str
    group: str
    verdict: str
    p_fake: float
    wrong: int
    low: float
    high: float
    flips: int
    face_px: float
    sharpness: float
    blockiness: float
    outside: float
    turned: float

    @classmethod
    def from_row(cls, row: dict[str, str]) -> Self:
        """A line of the CSV."""
        return cls(**{f.name: f.type(row[f.name]) for f in fields(cls)})  # type: ignore[operator]


def judge_delivered(checker: FaceChecker, rows: Sequence[FaceFile], root: Path, target: Path) -> list[Judged]:
    """Judge every row's file after a delivery that its name decides; what `target` holds is not repeated.

    Args:
        root: the folder of the manifest. target: a CSV, extended batch by batch, so that a stopped run goes on; what
            other weights or another decision wrote into it is removed.
    """
    _continue(target, _key(checker))
    done = {(judged.file, judged.label, judged.group): judged for judged in read_judged_faces(target)}
    names = [row.path.relative_to(root).as_posix() for row in rows]
    keys = [(name, row.label, row.group) for name, row in zip(names, rows, strict=True)]
    missing = [index for index, key in enumerate(keys) if key not in done]
    with target.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(Judged)])
        if not stream.tell():
            writer.writeheader()
        for start in tqdm(range(0, len(missing), BATCH), desc="delivered", unit="batch", disable=None):
            batch = missing[start : start + BATCH]
            for judged in _judged(checker, [rows[i] for i in batch], [names[i] for i in batch]):
                writer.writerow({name: _rounded(value) for name, value in asdict(judged).items()})
                done[judged.file, judged.label, judged.group] = judged
            stream.flush()
    return [done[key] for key in keys]


def _key(checker: FaceChecker) -> str:
    """What the judgements depend on, besides the files: the weights, the crop, the decision and the delivery."""
    config = checker.config
    parts = (
        config.sha256, config.input_size, config.crop_margin, config.mean, config.std, config.limits, checker.decision,
        checker.stability, FACE_PX, JPEG_QUALITY, BLUR, BLURRED_SHARE,
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _continue(target: Path, key: str) -> None:
    """Cut off the line that a stopped run did not finish; remove the file if the one beside it names another key."""
    beside = target.with_suffix(".key")
    if not beside.is_file() or beside.read_text() != key:
        target.unlink(missing_ok=True)
        write_atomically(beside, key.encode())
    if target.is_file():
        with target.open("rb+") as stream:
            stream.truncate(stream.read().rfind(b"\n") + 1)


def _rounded(value: object) -> object:
    """What is beyond depends on which faces were judged together: engines add up in another order."""
    return round(value, DECIMALS) if isinstance(value, float) else value


def read_judged_faces(path: Path) -> list[Judged]:
    """The complete lines of a CSV that `judge_delivered` wrote; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [Judged.from_row(row) for row in csv.DictReader(stream) if None not in row.values()]


def deliver(picture: Pixels, box: tuple[float, ...], rng: np.random.Generator) -> tuple[Pixels, np.ndarray[Any, Any]]:
    """The picture reduced, blurred now and then, and saved as JPEG, with its box."""
    face_px = float(np.exp(rng.uniform(*np.log(FACE_PX))))
    picture, place = reduced(picture, np.array(box, dtype=np.float64), face_px)
    if rng.random() < BLURRED_SHARE:
        picture, place = blurred(picture, place, rng.uniform(*BLUR), rng)
    return recompress(picture, int(rng.integers(*JPEG_QUALITY, endpoint=True))), place


def _judged(checker: FaceChecker, rows: Sequence[FaceFile], names: Sequence[str]) -> Iterator[Judged]:
    sent = [
        deliver(read_rgb(row.path), row.box, np.random.default_rng(zlib.crc32(name.encode())))
        for row, name in zip(rows, names, strict=True)
    ]
    pictures = [picture for picture, _ in sent]
    found = [
        _first_or_known(detections, place)
        for detections, (_, place) in zip(checker.detector.detect(pictures), sent, strict=True)
    ]
    faces = [faces[0] for faces in checker.judge(pictures, found)]
    for row, name, picture, face in zip(rows, names, pictures, faces, strict=True):
        yield _line(checker, row, name, picture, face)


def _first_or_known(found: Detections, box: np.ndarray[Any, Any]) -> Detections:
    """The largest face alone; the known place, with no landmarks, where the detector finds none."""
    return found[:1] if len(found) else Detections.at(box)


def _line(checker: FaceChecker, row: FaceFile, name: str, picture: Pixels, face: Face) -> Judged:
    config, stability = checker.config, face.stability
    measured = quality.measure(
        picture, face.box, crop.face(picture, face.box, config.input_size, config.crop_margin), face.landmarks
    )
    return Judged(
        name, row.label, row.group, str(face.verdict), face.p_fake,
        int((face.p_fake >= checker.decision.threshold) != (row.label == "fake")),
        stability.low if stability else float("nan"), stability.high if stability else float("nan"),
        int(stability.flips) if stability else 0, **asdict(measured),
    )  # fmt: skip
