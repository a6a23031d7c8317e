"""The logits of the validation faces in every delivery: computed once, kept in a file, fitted on many times."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from tqdm import tqdm

from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from facecheck.files import write_atomically
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision, Limits
from facecheck.result import Prediction
from training.augment import recompress, reduced
from training.data import FaceFile, read_rgb
from training.evaluation.metrics import Floats, Ints
from training.evaluation.scoring import score
from training.tiers import TIERS

Strings = npt.NDArray[np.str_]
Bools = npt.NDArray[np.bool_]
SMALL = "small"
SMALL_FACE_PX = (24.0, 128.0)
SMALL_QUALITY = (60, 95)


@dataclass(frozen=True)
class Validation:
    """Columns of (N,): a row for each face in each delivery.

    Attributes:
        logits: positive = fake.
        face_px: longer side of the box, pixels of the delivered picture.
        targets: 1 = fake.
        sources: "label/source".
        tiers: a name of `TIERS`, or `SMALL`: the face reduced to a size drawn from `SMALL_FACE_PX`, both classes alike.
    """

    logits: Floats
    face_px: Floats
    targets: Ints
    sources: Strings
    groups: Strings
    tiers: Strings

    def __len__(self) -> int:
        return len(self.logits)

    def where(self, chosen: Bools | Ints) -> Self:
        """The rows that a mask or an index chooses."""
        return type(self)(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def delivered(self) -> Self:
        """The rows of the tiers that are evaluated: what thresholds are chosen on."""
        return self.where(self.tiers != SMALL)


def validation(model: Model, rows: Sequence[FaceFile], cache: Path | None = None, device: str = "auto") -> Validation:
    """Score `rows` with the whole pipeline in all tiers, and once more with the faces made small.

    Args:
        cache: an .npz file. What it holds for these weights and rows is not computed again; it is written after each
            tier, so a stopped run goes on where it was.
    """
    neutral = replace(model, config=replace(model.config, decision=Decision(), limits=Limits()))
    key = _key(model, rows)
    known = _read(cache, key) if cache is not None else {}
    checker = None
    for tier in (*TIERS, SMALL):
        if tier in known:
            continue
        checker = checker or FaceChecker(neutral, device=device, engine="torch")
        judged = _small(checker, rows) if tier == SMALL else (item.prediction for item in score(checker, rows, tier))
        known[tier] = np.array([_largest_claim(p) for p in tqdm(judged, tier, len(rows))], dtype=np.float64)
        if cache is not None:
            _write(cache, key, known)
    return _columns(rows, {tier: known[tier] for tier in (*TIERS, SMALL)})


def _largest_claim(prediction: Prediction) -> tuple[float, float]:
    """(logit, size) of the face that speaks for the picture; the neutral decision is undone."""
    face = max(prediction.faces, key=lambda face: face.p_fake)
    return float(logit(np.clip(face.p_fake, 1e-12, 1 - 1e-12))), face.size_px


def _small(checker: FaceChecker, rows: Sequence[FaceFile]) -> Iterator[Prediction]:
    """Every face at a size and JPEG quality drawn without looking at its label, in the manifest's box."""
    for index, row in enumerate(rows):
        rng = np.random.default_rng(index)
        face_px = float(np.exp(rng.uniform(*np.log(SMALL_FACE_PX))))
        picture, box = reduced(read_rgb(row.path), np.array(row.box), face_px)
        picture = recompress(picture, int(rng.integers(*SMALL_QUALITY, endpoint=True)))
        yield Prediction(str(row.path), faces=checker.judge([picture], [Detections.at(box)])[0])


def _columns(rows: Sequence[FaceFile], known: dict[str, Floats]) -> Validation:
    logits, face_px = np.concatenate(list(known.values())).T
    times = len(known)
    return Validation(
        logits,
        face_px,
        np.array([row.target for row in rows] * times, dtype=np.int64),
        np.array([f"{row.label}/{row.source}" for row in rows] * times),
        np.array([row.group for row in rows] * times),
        np.repeat(list(known), len(rows)),
    )


def _key(model: Model, rows: Sequence[FaceFile]) -> str:
    """What the scores depend on: the weights, how the crop is made, the files and their boxes."""
    config = model.config
    parts: list[object] = [
        config.sha256,
        config.crop_margin,
        config.input_size,
        config.mean,
        config.std,
        SMALL_FACE_PX,
        TIERS,
    ]
    parts += [(row.label, row.source, row.path.name, row.box) for row in rows]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _read(path: Path, key: str) -> dict[str, Floats]:
    """The tiers in the file; none if it belongs to other weights or rows."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        if str(stored["key"]) != key:
            return {}
        return {name: stored[name] for name in stored.files if name != "key"}


def _write(path: Path, key: str, known: dict[str, Floats]) -> None:
    stream = io.BytesIO()
    np.savez(stream, key=np.array(key), **known)  # type: ignore[arg-type]
    write_atomically(path, stream.getvalue())
