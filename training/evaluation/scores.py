"""Scores as one plain table: what the pipeline answers in each tier, what `evaluate` writes and `compare` reads.

It is the door for other people's detectors too: a CSV with the columns file and p_fake will do.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from facecheck import image
from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from facecheck.result import Prediction, Verdict
from training.augment import TIERS, delivered
from training.data import FaceFile
from training.evaluation.metrics import Bools, Floats, Ints, Words, source_weights

FACTS = ("label", "source", "generator", "group", "age", "gender", "ethnicity")
"""Columns that say what a file is; the others say how it was judged."""
DEFAULT_TIER, DEFAULT_THRESHOLD = "clean", 0.5
_KINDS: dict[str, Any] = {"p_fake": np.float64, "threshold": np.float64, "face_px": np.float64, "detected": np.bool_}


@dataclass(frozen=True)
class Scores:
    """Judged files side by side, every column an (N,) array; a file stands once in each tier.

    Attributes:
        file: path inside the data folder, with forward slashes.
        label: "real" or "fake". generator: empty for photographs. age, gender, ethnicity: empty where unknown.
        threshold: the p_fake from which a forced answer is "fake".
        verdict: real, fake, uncertain or no_face; the last two are abstentions.
        detected: False where the detector missed the face and the manifest's box was used.
        face_px: longer side of the face box after delivery, pixels; nan where unknown.
    """

    file: Words
    label: Words
    source: Words
    generator: Words
    group: Words
    tier: Words
    p_fake: Floats
    threshold: Floats
    verdict: Words
    detected: Bools
    face_px: Floats
    age: Words
    gender: Words
    ethnicity: Words

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """The table of dictionaries that have every column."""
        listed = list(rows)
        columns = {f.name: [row[f.name] for row in listed] for f in fields(cls)}
        return cls(**{name: np.array(values, dtype=_KINDS.get(name, np.str_)) for name, values in columns.items()})

    def __len__(self) -> int:
        return len(self.file)

    @property
    def targets(self) -> Ints:
        """1 = fake."""
        return np.asarray(self.label == "fake", dtype=np.int64)

    @property
    def forced_choice(self) -> Floats:
        """1 where the answer at the threshold is right, else 0."""
        return np.asarray((self.p_fake >= self.threshold) == self.targets, dtype=np.float64)

    @property
    def credit(self) -> Floats:
        """1 for a right verdict, 0.5 for an abstention, 0 for a wrong one."""
        abstained = np.isin(self.verdict, (Verdict.UNCERTAIN.value, Verdict.NO_FACE.value))
        return np.where(abstained, 0.5, (self.verdict == self.label).astype(np.float64))

    @property
    def confidence(self) -> Floats:
        """Distance of the score from the threshold, in logits."""
        return np.abs(_logit(self.p_fake) - _logit(self.threshold))

    @property
    def strata(self) -> Words:
        """Label and source of each file, as "fake/omi"."""
        return np.char.add(np.char.add(self.label, "/"), self.source)

    @property
    def weights(self) -> Floats:
        """Sources weigh the same, see `training.evaluation.metrics.source_weights`; a file in several tiers is one."""
        return source_weights(self.strata, self.targets, 1 / max(len(np.unique(self.tier)), 1))

    def where(self, chosen: npt.NDArray[Any]) -> "Scores":
        """The rows that a mask or indices choose."""
        return Scores(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def by_tier(self) -> dict[str, "Scores"]:
        """The table of each tier, in order of appearance."""
        return {name: self.where(self.tier == name) for name in dict.fromkeys(self.tier.tolist())}

    def to_csv(self) -> str:
        """One line a row, all columns, floats as exact as they are."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(f.name for f in fields(self))
        writer.writerows(zip(*(getattr(self, f.name).tolist() for f in fields(self)), strict=True))
        return stream.getvalue()


def is_scores(path: Path) -> bool:
    """Whether `read_scores` is meant: a .csv file, or a folder of them without weights."""
    return path.suffix == ".csv" or (path.is_dir() and any(path.glob("*.csv")) and not any(path.glob("*.safetensors")))


def read_scores(
    path: Path, rows: Sequence[FaceFile] | None = None, root: Path = Path(), threshold: float | None = None
) -> Scores:
    """Scores from a CSV with at least the columns file and p_fake, or from a folder of such files.

    Args:
        path: a .csv; a report folder (its scores.csv counts); or a folder of .csv files named after their tiers.
        rows: what is known of the files, from the manifest of `root`: each must be scored in every tier, others are
            left out. Without it the CSV must have a column label itself.
        threshold: in place of the column threshold, and of 0.5 where there is none. The verdict follows it.

    Raises:
        ValueError: a column or a file is missing, a file stands twice, a value is out of range.
    """
    known = {row.path.relative_to(root).as_posix(): row for row in rows} if rows is not None else None
    found = [_row(raw, known, tier, threshold) for raw, tier in _lines(path) if known is None or raw["file"] in known]
    counts = Counter((row["tier"], row["file"]) for row in found)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"{path} scores {len(twice)} files twice, for example {twice[0][1]!r} in tier {twice[0][0]!r}")
    for tier in {row["tier"] for row in found} or {DEFAULT_TIER}:
        missing = [file for file in known or () if (tier, file) not in counts]
        if missing:
            raise ValueError(
                f"{path} has no score for {len(missing)} files of tier {tier!r}, for example {missing[0]!r}"
            )
    return Scores.from_rows(found)


def _lines(path: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Every line as a dictionary, and the tier that holds where it names none."""
    own = path / "scores.csv"
    files = [path] if path.is_file() else [own] if own.is_file() else sorted(path.glob("*.csv"))
    for file in files:
        tier = file.stem if len(files) > 1 else DEFAULT_TIER
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if missing := {"file", "p_fake"} - set(reader.fieldnames or ()):
                raise ValueError(f"{file} has no column {', '.join(sorted(missing))}")
            for line in reader:
                yield line, tier


def _row(
    raw: Mapping[str, str], known: Mapping[str, FaceFile] | None, tier: str, threshold: float | None
) -> dict[str, Any]:
    row = known[raw["file"]] if known is not None else None
    facts = {name: getattr(row, name) if row else raw.get(name) or "" for name in FACTS}
    if facts["label"] not in ("real", "fake"):
        raise ValueError(f"{raw['file']}: label is {facts['label']!r}; it must be 'real' or 'fake'")
    p_fake = _probability(raw, "p_fake")
    limit = threshold if threshold is not None else _probability(raw, "threshold", DEFAULT_THRESHOLD)
    forced_choice = Verdict.FAKE if p_fake >= limit else Verdict.REAL
    verdict = Verdict(raw.get("verdict") or forced_choice) if threshold is None else forced_choice
    return facts | {
        "file": raw["file"],
        "tier": raw.get("tier") or tier,
        "p_fake": p_fake,
        "threshold": limit,
        "verdict": verdict.value,
        "detected": (raw.get("detected") or "True").lower() in ("true", "1"),
        "face_px": float(raw.get("face_px") or "nan"),
    }


def _probability(raw: Mapping[str, str], name: str, otherwise: float | None = None) -> float:
    text = raw.get(name) or ""
    if not text and otherwise is not None:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise ValueError(f"{raw['file']}: {name} is {text!r}; it must be a number from 0 to 1")
    return value


def _logit(probabilities: Floats) -> Floats:
    clipped = probabilities.clip(1e-12, 1 - 1e-12)
    return np.asarray(np.log(clipped / (1 - clipped)))


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
