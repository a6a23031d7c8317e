"""Learn from new faces without forgetting the old ones: fine-tune with replay, keep the result only if it is better.

The gate is a paired bootstrap on the split world, where a data set has one, and else on the test split: nothing may be
worse on the old data beyond noise, the new data must not be worse, and no mistake that was once reported and mended (a
regression case) may come back. New photographs that are copies of old ones on another side of the split are left out.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from facecheck.files import sha256_of, write_atomically
from facecheck.model.checkpoint import Model, load_model
from facecheck.model.config import Criteria, Decision
from facecheck.result import Verdict
from training.crossfit import decide, fit_and_state, judges_of
from training.data import WORLD, FaceFile, judged_split, sampling_weights
from training.evaluation.observations import FITTED_ON, CalibrationSet, observe
from training.evaluation.scores import Scores
from training.evaluation.summary import Difference, compare
from training.evaluation.tables import differences
from training.faces.grouping import without_crossing
from training.fitting.train import train
from training.fitting.trainer import TrainConfig

SPECIFICITY = "specificity"
GATED = ("auc", "balanced_accuracy", "forced_choice", "tpr@1.0%", SPECIFICITY)
NEW = "new:"


@dataclass(frozen=True)
class Dataset:
    """Rows of one manifest and the folder that it stands in."""

    root: Path
    rows: tuple[FaceFile, ...]

    def split(self, name: str) -> list[FaceFile]:
        """The rows of one split."""
        return [row for row in self.rows if row.split == name]

    def judged(self) -> list[FaceFile]:
        """The rows that models are judged on: the split world, or test where there is none."""
        return self.split(judged_split(self.rows, "test"))


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
        old, new: the paired comparison on the judged splits, candidate minus present model; the old one with the
            specificity too.
        returned: cases that the present model answers rightly and the candidate wrongly.
        cases: mistakes of the present model on the new data, to be remembered.
        left_out: new faces that were neither learned nor judged, see `without_crossing`.
    """

    model: Path
    old: tuple[Difference, ...]
    new: tuple[Difference, ...]
    returned: tuple[Case, ...]
    cases: tuple[Case, ...]
    left_out: int = 0

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
        counts = [
            f"{len(self.cases)} mistakes of the present model became cases.",
            f"{self.left_out} new faces were left out: copies of old ones in another split, and the groups of these.",
        ]
        return "\n\n".join([verdict, *tables, *counts]) + "\n"


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
            boost |= {row.stratum: float(factor) for row in marked if row.target == target}
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
        ValueError: the new data has no train or no test split, or none once copies of old faces in another split are
            left out; `out` holds a run on other data.
    """
    if not (new.split("train") and new.judged()):
        raise ValueError(f"{new.root} needs rows in its train and its test split")
    fresh = _without_copies(new, old)
    present = load_model(weights)
    rows, boost = mixed(old.split("train"), fresh.split("train"), share)
    sources = {*present.config.training_data, *(f"{row.label}/{row.source.removeprefix(NEW)}" for row in rows)}
    described = replace(
        present.config, version=version or f"{present.config.version}+update", training_data=tuple(sorted(sources))
    )
    config = replace(config, boost=(*config.boost, *sorted(boost.items())))
    path = train(rows, described, config, weights, out)
    candidate = _recalibrated(path, present.config.decision, old, fresh)
    outcome = _gate(path, present, candidate, old, fresh, cases, tiers)
    return replace(outcome, left_out=len(new.rows) - len(fresh.rows))


def _without_copies(new: Dataset, old: Dataset) -> Dataset:
    world = {row.stratum for row in old.split(WORLD)}
    if learned := sorted(world & {row.stratum for row in new.split("train")}):
        raise ValueError(
            f"{', '.join(learned)} would be learned from and stand in the split {WORLD} of {old.root}, where rates are "
            "measured: take them out of one of the two"
        )
    fresh = replace(new, rows=without_crossing(new.rows, old.rows))
    if not (fresh.split("train") and fresh.judged()):
        raise ValueError(
            f"{len(new.rows) - len(fresh.rows)} of the {len(new.rows)} faces of {new.root} are, or share a group with, "
            f"copies of faces in another split of {old.root}; without them its train or its test split is empty"
        )
    return fresh


def criteria_of(decision: Decision) -> Criteria:
    """What a decision was fitted to; of one that does not say so, the budget whose threshold it ships, if it is one.

    A cap on every source of photographs leaves no trace in such a decision.
    """
    if decision.fitted_on:
        return decision.criteria
    kept = [budget.max_fpr for budget in decision.budgets if budget.threshold == decision.threshold]
    return Criteria(max_fpr=kept[0] if kept else None)


def _recalibrated(path: Path, before: Decision, old: Dataset, new: Dataset) -> Model:
    """The candidate, with a decision fitted on the unseen sources of both, or else on the val splits."""
    model, split = load_model(path), judged_split(old.rows, "val")
    rows = [*old.split(split), *new.split(split)]
    faces = CalibrationSet.of(observe(model, rows, FITTED_ON))
    decision, _ = fit_and_state(faces, rows, criteria_of(before), split)
    model = replace(model, config=replace(model.config, decision=decision))
    write_atomically(path.with_suffix(".json"), model.config.to_json().encode())
    return model


def _scores(model: Model, data: Dataset, tiers: Sequence[str]) -> Scores:
    rows = data.judged()
    return decide(observe(model, rows, tiers), judges_of(model, rows), model.config.limits, data.root)


def _gate(
    path: Path, present: Model, candidate: Model, old: Dataset, new: Dataset, cases: Sequence[Case],
    tiers: Sequence[str],
) -> Outcome:  # fmt: skip
    tables = {
        name: {part: _scores(model, data, tiers) for part, data in (("old", old), ("new", new))}
        for name, model in (("present", present), ("candidate", candidate))
    }
    title = f"{present.config.name} {present.config.version}"
    right = {
        name: {case for part, data in (("old", old), ("new", new)) for case in answered(table[part], data.root, True)}
        for name, table in tables.items()
    }
    known = {(case.sha256, case.tier) for case in cases}
    before_and_after = tables["present"]["old"], tables["candidate"]["old"]
    return Outcome(
        path,
        (*compare(*before_and_after), *specificity(*before_and_after)),
        tuple(compare(tables["present"]["new"], tables["candidate"]["new"])),
        tuple(c for c in sorted(right["present"] - right["candidate"], key=str) if (c.sha256, c.tier) in known),
        tuple(replace(case, missed_by=title) for case in answered(tables["present"]["new"], new.root, False)),
    )


def specificity(first: Scores, second: Scores) -> list[Difference]:
    """The share of photographs that are not accused at each model's own threshold, compared as `compare` does."""
    # Where every fake is caught, the balanced accuracy is (1 + specificity) / 2.
    before, after = (replace(part, p_fake=np.where(part.label == "fake", 1.0, part.p_fake)) for part in (first, second))
    return [
        replace(
            d, metric=SPECIFICITY, first=2 * d.first - 1, second=2 * d.second - 1, difference=2 * d.difference,
            low=2 * d.low, high=2 * d.high,
        )
        for d in compare(before, after)
        if d.metric == "forced_choice"
    ]  # fmt: skip


def answered(scores: Scores, root: Path, rightly: bool) -> list[Case]:
    """The files that were answered rightly (or wrongly); an `uncertain` answer is neither."""
    decided = np.isin(scores.verdict, (Verdict.REAL.value, Verdict.FAKE.value))
    chosen = scores.where(decided & ((scores.verdict == scores.label) == rightly))
    return [
        Case(sha256_of(root / file), label, tier, "")
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
