"""What a network says of every face before any decision: computed once for a file and a delivery, judged many times.

Calibration, error rates and evaluation start from the same observations, so that they agree and nothing is computed
twice. A decision is fitted on the strongest claim of every file in every delivery: `CalibrationSet`.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import logit
from tqdm import tqdm

from facecheck.batching import batches
from facecheck.checker import FaceChecker
from facecheck.decoding import Pixels
from facecheck.detection.detector import Detections
from facecheck.error_rates import Quality
from facecheck.files import cache_folder, sha256_of
from facecheck.ledger import KeyedLedger
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision, Limits
from facecheck.result import Face
from training.augment import TIERS, recompress, reduced
from training.data import FaceFile, read_rgb, strata
from training.evaluation.corruptions import blurred
from training.evaluation.metrics import Bools, Floats, Ints, Words, source_weights
from training.evaluation.scores import score
from training.processing import Box

SMALL, RANDOM = "small", "random"
DELIVERIES = (*TIERS, SMALL, RANDOM)
"""The tiers; `SMALL`: the face at a size of `SMALL_FACE_PX`, in the manifest's box; `RANDOM`: see `deliver`."""
SMALL_FACE_PX, SMALL_QUALITY = (24.0, 128.0), (60, 95)
FACE_PX, JPEG_QUALITY, BLUR, BLURRED_SHARE = (20.0, 256.0), (25, 95), (0.4, 2.5), 0.3
MEASUREMENTS = tuple(f.name for f in fields(Quality))
RULES = 1
"""Goes up when detection or crop change what is observed of the same file by the same weights."""
Seen = tuple[Sequence[Face], bool]
"""The faces of a delivered file, and whether the detector found them; else it is the one in the manifest's box."""


@dataclass(frozen=True)
class Observations:
    """Columns of (M,): a row for each face in each delivered file.

    Attributes:
        rows: the files. file: index into them.
        delivery: one of `DELIVERIES`.
        detected: False where the detector found no face and the manifest's box was used.
        logit: positive = fake.
        face_px to turned: as in `facecheck.Quality`.
    """

    rows: tuple[FaceFile, ...]
    file: Ints
    delivery: Words
    detected: Bools
    logit: Floats
    face_px: Floats
    sharpness: Floats
    blockiness: Floats
    outside: Floats
    turned: Floats

    @property
    def pictures(self) -> list[Ints]:
        """The rows of each delivered file, delivery by delivery, files in order."""
        names = list(dict.fromkeys(self.delivery.tolist()))
        where = np.array([names.index(name) for name in self.delivery.tolist()], dtype=np.int64)
        order = np.lexsort((self.file, where))
        edges = np.flatnonzero(np.diff(where[order]) | np.diff(self.file[order])) + 1
        return np.split(order, edges) if len(order) else []

    @property
    def quality(self) -> list[Quality]:
        """The measurements of each face."""
        return [Quality(*values) for values in zip(*(getattr(self, name) for name in MEASUREMENTS), strict=True)]

    def of(self, *deliveries: str) -> Self:
        """The rows of some deliveries."""
        chosen = np.isin(self.delivery, deliveries)
        columns = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "rows"}
        return replace(self, **columns)


def observe(
    model: Model, rows: Sequence[FaceFile], deliveries: Sequence[str] = DELIVERIES, cache: Path | None = None,
    device: str = "auto",
) -> Observations:  # fmt: skip
    """Every row's file in every delivery through the whole pipeline, by torch, without calibration and limits.

    Args:
        cache: folder of the ledgers, one for a model and a delivery; by default in facecheck's own cache. A file that
            stands there is not judged again, and a stopped call goes on where it was. Weights that were never saved
            have no hash and are not kept.

    Raises:
        ValueError: a file cannot be read. LedgerBusyError: another process observes the same.
    """
    config = replace(model.config, decision=Decision(), limits=Limits())
    keys = [_key(row) for row in rows]
    made: list[FaceChecker] = []

    def checker() -> FaceChecker:
        if not made:
            made.append(FaceChecker(replace(model, config=config), device=device, engine="torch"))
        return made[0]

    with tempfile.TemporaryDirectory() as nowhere:
        folder = (cache or cache_folder() / f"observations-{RULES}") if config.sha256 else Path(nowhere)
        found = {name: _entries(checker, rows, keys, name, folder / _file_name(model, name)) for name in deliveries}
    return _table(rows, found)


def _entries(
    checker: Callable[[], FaceChecker], rows: Sequence[FaceFile], keys: Sequence[str], delivery: str, path: Path
) -> list[Mapping[str, Any]]:
    with KeyedLedger(path) as ledger:
        missing = set(ledger.missing(keys))
        todo = {key: row for key, row in zip(keys, rows, strict=True) if key in missing}
        if todo:
            judged = _judged(checker(), todo, delivery)
            for key, (faces, detected) in zip(todo, tqdm(judged, delivery, len(todo), disable=None), strict=True):
                ledger.add(key, {"detected": detected, "faces": [_numbers(face) for face in faces]})
        return [ledger.entries[key] for key in keys]


def _judged(checker: FaceChecker, todo: Mapping[str, FaceFile], delivery: str) -> Iterator[Seen]:
    if delivery in TIERS:
        for item in score(checker, list(todo.values()), delivery):
            yield item.prediction.faces, item.detected
        return
    for rows in batches(todo.values(), lambda _: 0):  # Prepared files are small.
        pictures, places, detected = delivered_at_random(checker, rows, delivery)
        yield from zip(checker.judge(pictures, places), detected, strict=True)


def delivered_at_random(
    checker: FaceChecker, rows: Sequence[FaceFile], delivery: str = RANDOM
) -> tuple[list[Pixels], list[Detections], list[bool]]:
    """Each file after a delivery that its content decides, without looking at its label.

    Returns:
        The pictures, the one face in each, and whether the detector found it; else it is the known one.
    """
    send = small if delivery == SMALL else deliver
    chances = (np.random.default_rng(int(_key(row)[:16], 16)) for row in rows)
    sent = [send(read_rgb(row.path), row.box, rng) for row, rng in zip(rows, chances, strict=True)]
    pictures, known = [picture for picture, _ in sent], [Detections.at(box) for _, box in sent]
    if delivery == SMALL:
        return pictures, known, [True] * len(known)
    found = checker.detector.detect(pictures)
    places = [faces[:1] if len(faces) else place for faces, place in zip(found, known, strict=True)]
    return pictures, places, [bool(len(faces)) for faces in found]


def small(picture: Pixels, box: tuple[float, ...], rng: np.random.Generator) -> tuple[Pixels, Box]:
    """The face reduced to a size of `SMALL_FACE_PX`, saved as JPEG, with its box."""
    picture, place = reduced(picture, np.array(box, dtype=np.float64), _log_uniform(rng, SMALL_FACE_PX))
    return recompress(picture, int(rng.integers(*SMALL_QUALITY, endpoint=True))), place


def deliver(picture: Pixels, box: tuple[float, ...], rng: np.random.Generator) -> tuple[Pixels, Box]:
    """The picture reduced, blurred now and then, and saved as JPEG, with its box."""
    picture, place = reduced(picture, np.array(box, dtype=np.float64), _log_uniform(rng, FACE_PX))
    if rng.random() < BLURRED_SHARE:
        picture, place = blurred(picture, place, rng.uniform(*BLUR), rng)
    return recompress(picture, int(rng.integers(*JPEG_QUALITY, endpoint=True))), place


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _numbers(face: Face) -> list[float]:
    """The logit, for the neutral decision is undone, and the measurements."""
    raw = float(logit(np.clip(face.p_fake, 1e-12, 1 - 1e-12)))
    return [raw, *(getattr(face.quality, name) for name in MEASUREMENTS)]


def _table(rows: Sequence[FaceFile], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Observations:
    lines = [
        (index, delivery, entry["detected"], *numbers)
        for delivery, entries in found.items()
        for index, entry in enumerate(entries)
        for numbers in entry["faces"]
    ]
    file, delivery, detected, *numbers = zip(*lines, strict=True) if lines else [()] * (4 + len(MEASUREMENTS))
    kinds = np.array(file, np.int64), np.array(delivery, np.str_), np.array(detected, np.bool_)
    return Observations(tuple(rows), *kinds, *(np.array(column, np.float64) for column in numbers))


def _key(row: FaceFile) -> str:
    """Of the file's content and the known box, so that a file is found again wherever it stands."""
    return sha256_of(row.path.read_bytes() + repr(row.box).encode())


def _file_name(model: Model, delivery: str) -> str:
    """By what the numbers depend on: the weights, how the crop is made, how the file is delivered."""
    config = model.config
    how = {
        SMALL: (SMALL_FACE_PX, SMALL_QUALITY),
        RANDOM: (FACE_PX, JPEG_QUALITY, BLUR, BLURRED_SHARE),
    }.get(delivery, TIERS.get(delivery))
    parts = (config.sha256, config.crop_margin, config.input_size, config.mean, config.std, how)
    return f"{sha256_of(repr(parts).encode())[:24]}-{delivery}.jsonl"


FITTED_ON = (*TIERS, SMALL)


@dataclass(frozen=True)
class CalibrationSet:
    """Columns of (N,): a row for each file in each delivery.

    Attributes:
        logits: of the face that speaks loudest for "fake"; positive = fake.
        face_px: longer side of its box, pixels of the delivered picture.
        targets: 1 = fake.
        sources: "label/source".
        tiers: a name of `TIERS`, or `SMALL`.
    """

    logits: Floats
    face_px: Floats
    targets: Ints
    sources: Words
    groups: Words
    tiers: Words

    @classmethod
    def of(cls, observed: Observations) -> Self:
        """The set of the deliveries that `observed` has among `FITTED_ON`."""
        observed = observed.of(*FITTED_ON)
        loudest = np.array([part[np.argmax(observed.logit[part])] for part in observed.pictures], dtype=np.int64)
        rows = [observed.rows[index] for index in observed.file[loudest].tolist()]
        return cls(
            observed.logit[loudest],
            observed.face_px[loudest],
            np.array([row.target for row in rows], dtype=np.int64),
            strata(rows),
            np.array([row.group for row in rows], dtype=np.str_),
            observed.delivery[loudest],
        )

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def weights(self) -> Floats:
        """(N,): sources weigh the same, see `source_weights`; a file in several deliveries is one face."""
        return source_weights(self.sources, self.targets, 1 / max(len(np.unique(self.tiers)), 1))

    def where(self, chosen: Bools | Ints) -> Self:
        """The rows that a mask or an index chooses."""
        return type(self)(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def delivered(self) -> Self:
        """The rows of the tiers that are evaluated: what thresholds are chosen on."""
        return self.where(self.tiers != SMALL)
