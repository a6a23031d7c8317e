"""Learn from new faces without forgetting the old ones: fine-tune with replay, keep the result only if it is better.

The gate is a paired bootstrap on the test splits: nothing may be worse on the old data beyond noise, the new data must
not be worse, and no mistake that was once reported and mended (a regression case) may come back.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from facecheck.checker import FaceChecker
from facecheck.models import Model, load_model, write_atomically
from facecheck.result import Verdict
from training.calibration.calibrate import Wishes, fit_decision
from training.calibration.validation import validation
from training.data import FaceFile, sampling_weights
from training.evaluation.compare import Difference, compare
from training.evaluation.evaluate import score_tiers
from training.evaluation.scores import Scores
from training.evaluation.tables import differences
from training.fitting.train import train
from training.fitting.trainer import TrainConfig

GATED = ("auc", "balanced_accuracy", "forced", "tpr@1.0%")
NEW = "new:"


@dataclass(frozen=True)
class Dataset:
    """Rows of one manifest and the folder that it stands in."""

    root: Path
    rows: tuple[FaceFile, ...]

    def split(self, name: str) -> list[FaceFile]:
        """The rows of one split."""
        return [row for row in self.rows if row.split == name]


@dataclass(frozen=True)
class Case:
    """A file that some model got wrong; a later one must not get it wrong again once it was right.

    Attributes:
        sha256: of the file, so that it is found wherever it stands.
        missed_by: name and version of the model that was wrong.
    """

    sha256: str
    label: str
    tier: str
    missed_by: str


@dataclass(frozen=True)
class Outcome:
    """What the gate saw.

    Attributes:
        old, new: the paired comparison on the two test splits, candidate minus present model.
        returned: cases that the present model answers rightly and the candidate wrongly.
        cases: mistakes of the present model on the new data, to be remembered.
    """

    model: Path
    old: tuple[Difference, ...]
    new: tuple[Difference, ...]
    returned: tuple[Case, ...]
    cases: tuple[Case, ...]

    @property
    def refusals(self) -> list[str]:
        """Why the candidate must not replace the present model; empty if it may."""
        worse = [f"{d.metric} fell by {-d.difference:.4f} on the old data, tier {d.tier}" for d in _losses(self.old)]
        worse += [f"{d.metric} fell by {-d.difference:.4f} on the new data, tier {d.tier}" for d in _losses(self.new)]
        if not any(d.difference > 0 for d in self.new if d.metric in GATED):
            worse.append("nothing became better on the new data")
        worse += [f"case {case.sha256[:12]} ({case.label}, {case.tier}) is wrong again" for case in self.returned]
        return worse

    def to_markdown(self) -> str:
        """The verdict, its reasons and both comparisons."""
        verdict = "Kept." if not self.refusals else "Refused: " + "; ".join(self.refusals) + "."
        tables = [
            f"# {name} data\n\n{differences(part, 'present', 'candidate')}"
            for name, part in (("Old", self.old), ("New", self.new))
        ]
        return "\n\n".join([verdict, *tables, f"{len(self.cases)} mistakes of the present model became cases."]) + "\n"


def _losses(compared: Iterable[Difference]) -> list[Difference]:
    """What got worse beyond noise: the whole 95 % interval lies below zero."""
    return [d for d in compared if d.metric in GATED and d.high < 0]


def mixed(old: Sequence[FaceFile], new: Sequence[FaceFile], share: float) -> tuple[list[FaceFile], dict[str, float]]:
    """Replay: rows of both train splits, and the boosts that give the new ones `share` of every class they occur in."""
    marked = [replace(row, source=NEW + row.source) for row in new]
    rows = [*old, *marked]
    weights = sampling_weights(rows)
    is_new = np.array([row.source.startswith(NEW) for row in rows])
    boost: dict[str, float] = {}
    for target in (0, 1):
        of_class = np.array([row.target == target for row in rows])
        fresh, known = weights[of_class & is_new].sum(), weights[of_class & ~is_new].sum()
        if fresh > 0 and known > 0:
            factor = share / (1 - share) * known / fresh
            boost |= {f"{row.label}/{row.source}": float(factor) for row in marked if row.target == target}
    return rows, boost


def update(
    weights: Path, old: Dataset, new: Dataset, config: TrainConfig, out: Path, cases: Sequence[Case] = (),
    share: float = 0.3, version: str = "", tiers: Sequence[str] = ("clean", "web", "hard"),
) -> Outcome:  # fmt: skip
    """Fine-tune the model `weights` on the train splits of both datasets, and let the test splits decide.

    Args:
        config: a short run at a low rate; it is resumed if it was killed. out: folder of the candidate.
        share: of the examples of a class that are new. version: of the candidate; by default the present one with
            "+update".

    Raises:
        ValueError: the new data has no train or no test split.
    """
    if not (new.split("train") and new.split("test")):
        raise ValueError(f"{new.root} needs rows in its train and its test split")
    present = load_model(weights)
    rows, boost = mixed(old.split("train"), new.split("train"), share)
    sources = {*present.config.training_data, *(f"{row.label}/{row.source.removeprefix(NEW)}" for row in rows)}
    described = replace(
        present.config, version=version or f"{present.config.version}+update", training_data=tuple(sorted(sources))
    )
    config = replace(config, boost=(*config.boost, *sorted(boost.items())))
    path = train(rows, described, config, weights, out)
    candidate = _recalibrated(path, [*old.split("val"), *new.split("val")], out)
    return _gate(path, present, candidate, old, new, cases, tiers)


def _recalibrated(path: Path, rows: Sequence[FaceFile], out: Path) -> Model:
    model = load_model(path)
    decision = fit_decision(validation(model, rows, out / "validation.npz"), Wishes())
    model = replace(model, config=replace(model.config, decision=decision))
    write_atomically(path.with_suffix(".json"), model.config.to_json().encode())
    return model


def _gate(
    path: Path, present: Model, candidate: Model, old: Dataset, new: Dataset, cases: Sequence[Case],
    tiers: Sequence[str],
) -> Outcome:  # fmt: skip
    tables = {}
    for name, model in (("present", present), ("candidate", candidate)):
        checker = FaceChecker(model, engine="torch")
        tables[name] = {
            part: score_tiers(checker, data.split("test"), data.root, tiers)
            for part, data in (("old", old), ("new", new))
        }
    title = f"{present.config.name} {present.config.version}"
    right = {
        name: {case for part, data in (("old", old), ("new", new)) for case in answered(table[part], data.root, True)}
        for name, table in tables.items()
    }
    known = {(case.sha256, case.tier) for case in cases}
    return Outcome(
        path,
        tuple(compare(tables["present"]["old"], tables["candidate"]["old"])),
        tuple(compare(tables["present"]["new"], tables["candidate"]["new"])),
        tuple(c for c in sorted(right["present"] - right["candidate"], key=str) if (c.sha256, c.tier) in known),
        tuple(replace(case, missed_by=title) for case in answered(tables["present"]["new"], new.root, False)),
    )


def answered(scores: Scores, root: Path, rightly: bool) -> list[Case]:
    """The files that were answered rightly (or wrongly); an `uncertain` answer is neither."""
    decided = np.isin(scores.verdict, (Verdict.REAL.value, Verdict.FAKE.value))
    chosen = scores.where(decided & ((scores.verdict == scores.label) == rightly))
    return [
        Case(hashlib.sha256((root / file).read_bytes()).hexdigest(), label, tier, "")
        for file, label, tier in zip(chosen.file.tolist(), chosen.label.tolist(), chosen.tier.tolist(), strict=True)
    ]


def read_cases(path: Path) -> list[Case]:
    """The cases that `write_cases` wrote; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [Case(**row) for row in csv.DictReader(stream)]


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Write the cases as CSV, each file and tier once."""
    each = {(case.sha256, case.tier): case for case in cases}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [f.name for f in fields(Case)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(case) for _, case in sorted(each.items()))
    write_atomically(path, stream.getvalue().encode())
