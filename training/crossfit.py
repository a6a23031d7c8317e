"""Rates of a decision on sources that it was not fitted on: fit on half of the sources, state from the other half.

Both ways, so that every face is judged once by a decision that has seen none of its source. What ships is fitted on all
sources; what is said of it comes from here: the rates of `calibrate`, and the verdicts that `evaluate` counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from facecheck import calibration
from facecheck.error_rates import Quality
from facecheck.model.checkpoint import Model
from facecheck.model.config import Criteria, Decision, Limits
from facecheck.quality import reasons
from facecheck.result import Face, Prediction, Verdict
from training.calibrate import ROUNDS, fit_decision, stated
from training.data import FaceFile, sources_of
from training.evaluation.metrics import Bools, Floats, Ints, Words, balanced, expected_calibration_error, table
from training.evaluation.observations import FITTED_ON, CalibrationSet, Observations, observe
from training.evaluation.scores import Scored, Scores, columns


def source_halves(rows: Sequence[FaceFile]) -> dict[str, int]:
    """Map "label/source" to 0 or 1: two halves alike in both classes, in large and small sources and in makers.

    Within a class the sources stand in the order of their generators' families and then of their sizes, and go to the
    halves by turns: first, second, second, first. Sources that share a group, as the two halves of an edited
    photograph do, stay together.
    """
    faces: defaultdict[str, int] = defaultdict(int)
    family: dict[str, str] = {}
    for row in rows:
        name = row.stratum
        faces[name] += 1
        family.setdefault(name, _family(row))
    partners = _partners(rows)
    halves: dict[str, int] = {}
    for label in ("real", "fake"):
        mine = sorted((name for name in faces if name.startswith(f"{label}/")), key=lambda n: (family[n], -faces[n], n))
        turns = iter((0, 1, 1, 0) * (len(mine) // 4 + 1))
        for name in mine:
            if name not in halves:
                turn = next(turns)
                halves.update(dict.fromkeys(partners[name], turn))
    return halves


def _family(row: FaceFile) -> str:
    """Of a generator the first word, such as "gemini"; photographs are one family."""
    words = (row.generator or row.source).replace("-", " ").replace("_", " ").lower().split()
    return words[0] if row.label == "fake" and words else ""


def _partners(rows: Sequence[FaceFile]) -> dict[str, set[str]]:
    """Each source -> those that must stand on its side."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.group].add(row.stratum)
    together: dict[str, set[str]] = {}
    for names in owners.values():
        joined = set(names).union(*(together.get(name, set()) for name in names))
        together.update(dict.fromkeys(joined, joined))
    return together


@dataclass(frozen=True)
class CrossFit:
    """Two decisions, each for the half of the sources that it was not fitted on.

    Attributes:
        halves: "label/source" -> which of `decisions` judges it.
    """

    halves: dict[str, int]
    decisions: tuple[Decision, Decision]

    def p_fake(self, data: CalibrationSet) -> Floats:
        """(N,) of the rows of `data`."""
        return self._chosen(data, [calibration.p_fake(data.logits, one, data.face_px) for one in self.decisions])

    def called(self, data: CalibrationSet, max_fpr: float | None = None) -> Bools:
        """(N,) whether a forced answer is "fake", at the own threshold or under a budget that both have."""
        limits = [one.threshold if max_fpr is None else one.budget(max_fpr).threshold for one in self.decisions]
        return np.asarray(self.p_fake(data) >= self._chosen(data, [np.full(len(data), limit) for limit in limits]))

    def abstained(self, data: CalibrationSet) -> Bools:
        """(N,) whether p_fake lies in the uncertain band."""
        low, high = (
            self._chosen(data, [np.full(len(data), getattr(one, name)) for one in self.decisions])
            for name in ("uncertain_from", "uncertain_to")
        )
        scores = self.p_fake(data)
        return np.asarray((scores >= low) & (scores < high))

    def _chosen(self, data: CalibrationSet, either: list[Floats]) -> Floats:
        second = np.array([self.halves[name] for name in data.sources.tolist()], dtype=np.int64) == 1
        return np.where(second, either[1], either[0])


def crossfit(data: CalibrationSet, rows: Sequence[FaceFile], criteria: Criteria) -> CrossFit | None:
    """Fit on each half of the sources of `rows`, whose faces `data` holds; None where a class has but one source.

    Raises:
        ValueError: as `fit_decision`, for a half.
    """
    halves = source_halves(rows)
    sides = {(name.partition("/")[0], half) for name, half in halves.items()}
    if len(sides) < 4:
        return None
    side = np.array([halves[name] for name in data.sources.tolist()])
    first, second = (fit_decision(data.where(side != half), criteria, rounds=0) for half in (0, 1))
    return CrossFit(halves, (first, second))


def fit_and_state(
    data: CalibrationSet, rows: Sequence[FaceFile], criteria: Criteria, split: str
) -> tuple[Decision, CrossFit | None]:
    """The decision that ships, fitted on all sources of `rows`, with the rates that were measured across halves.

    Raises:
        ValueError: as `fit_decision`.
    """
    fit = crossfit(data, rows, criteria)
    decision = fit_decision(data, criteria, split, 0 if fit else ROUNDS)
    return (with_stated_rates(decision, data, fit) if fit else decision), fit


def with_stated_rates(decision: Decision, data: CalibrationSet, fit: CrossFit) -> Decision:
    """The decision with the recall and the false alarms of its budgets as measured across halves.

    A budget that a half is too small for cannot be stated, and is left out.
    """
    delivered = data.delivered()
    known = [{budget.max_fpr for budget in one.budgets} for one in fit.decisions]
    budgets = tuple(
        stated(budget, fit.called(delivered, budget.max_fpr), delivered)
        for budget in decision.budgets
        if all(budget.max_fpr in rates for rates in known)
    )
    return replace(decision, budgets=budgets)


def decision_markdown(data: CalibrationSet, decision: Decision, fit: CrossFit | None = None) -> str:
    """Tables of the tiers, the sources of photographs, the budgets and the scaling by face size.

    Args:
        fit: without it the decision is judged on what it was fitted on, and the heading says so.
    """
    judge = fit or CrossFit(dict.fromkeys(np.unique(data.sources).tolist(), 0), (decision, decision))
    shown = data.tiers[np.sort(np.unique(data.tiers, return_index=True)[1])]
    how = (
        "Fitted on half of the sources, stated from the other half, both ways; sources weigh the same."
        if fit
        else "NOT cross-fitted, for a class has one source only: these rates flatter."
    )
    band = f"uncertain {decision.uncertain_from:.4f} to {decision.uncertain_to:.4f}"
    parts = [f"{sources_of(decision.fitted_on)}. {how}", f"threshold {decision.threshold:.4f}, {band}"]
    tables = [_tiers(data, judge, shown), _sources(data, judge, shown), _budgets(data, decision, judge, shown)]
    return "\n\n".join([*parts, *tables, _scaling(decision)])


def _tiers(data: CalibrationSet, judge: CrossFit, shown: Words) -> str:
    raw, new, weights = calibration.p_fake(data.logits, Decision()), judge.p_fake(data), data.weights
    right = (judge.called(data) == data.targets).astype(np.float64)
    abstained, rows = judge.abstained(data), []
    for tier in shown:
        here = data.tiers == tier
        targets, mine, answered = data.targets[here], weights[here], ~abstained[here]
        errors = (expected_calibration_error(p[here], targets, mine) for p in (raw, new))
        credit = np.where(answered, right[here], 0.5)
        risk = np.average(1 - right[here][answered], weights=mine[answered]) if answered.any() else 0.0
        accuracy = balanced(credit, targets, mine), balanced(right[here], targets, mine)
        cells = (*errors, *accuracy, _mean(answered * 1.0, mine), risk)
        rows.append((tier, here.sum(), *(f"{value:.3f}" for value in cells)))
    names = ["tier", "faces", "ECE raw", "ECE", "balanced accuracy", "forced choice", "coverage", "risk"]
    return table(names, rows)


def _mean(values: Floats, weights: Floats) -> float:
    return float(np.average(values, weights=weights))


def _sources(data: CalibrationSet, judge: CrossFit, shown: Words) -> str:
    rows, called = [], judge.called(data)
    for source in np.unique(data.sources[data.targets == 0]):
        rates = [called[(data.sources == source) & (data.tiers == tier)] for tier in shown]
        rows.append((source, len(rates[0]), *(f"{rate.mean():.1%}" for rate in rates)))
    return table(["photographs of", "faces", *(f"{tier}: false alarms" for tier in shown)], rows)


def _budgets(data: CalibrationSet, decision: Decision, judge: CrossFit, shown: Words) -> str:
    rows = []
    for b in decision.budgets:
        called = judge.called(data, b.max_fpr)
        real = [(data.targets == 0) & (data.tiers == tier) for tier in shown]
        rates = [_mean(called[here] * 1.0, data.weights[here]) for here in real]
        recall = f"{b.recall:.3f} [{b.recall_low:.3f}, {b.recall_high:.3f}]"
        fpr = "not measured" if b.fpr is None else f"{b.fpr:.2%} [{b.fpr_low:.2%}, {b.fpr_high:.2%}]"
        rows.append((f"{b.max_fpr:g}", f"{b.threshold:.4f}", recall, fpr, *(f"{rate:.2%}" for rate in rates)))
    return table(["max-fpr", "threshold", "recall [95 %]", "false alarms [95 %]", *shown], rows)


def _scaling(decision: Decision) -> str:
    rows = [(f"{knot.face_px:g}", f"{knot.temperature:.3f}", f"{knot.bias:+.3f}") for knot in decision.knots]
    pooled = ("pooled", f"{decision.temperature:.3f}", f"{decision.bias:+.3f}")
    return table(["face, px", "temperature", "bias"], [*rows, pooled])


@dataclass(frozen=True)
class Judges:
    """Who judges which file.

    Attributes:
        decisions: one, or two that take turns. turns: (number of files,) index of the one that judges each.
        crossfitted: whether each file is judged by a decision that was fitted on other sources.
    """

    decisions: tuple[Decision, ...]
    turns: Ints
    crossfitted: bool

    @classmethod
    def one(cls, decision: Decision, rows: Sequence[FaceFile]) -> Self:
        """The same for all."""
        return cls((decision,), np.zeros(len(rows), np.int64), False)

    def p_fake(self, observed: Observations) -> Floats:
        """(M,) of each observed face."""
        either = np.stack([calibration.p_fake(observed.logit, one, observed.face_px) for one in self.decisions])
        return np.asarray(either[self.turns[observed.file], np.arange(len(observed.file))])


def judges_of(model: Model, rows: Sequence[FaceFile], cache: Path | None = None, device: str = "auto") -> Judges:
    """The decision that ships with a model, or, on the very split that it was fitted on, one for each half of it.

    Args:
        rows: all of the split. cache, device: see `training.evaluation.observations.observe`.
    """
    decision = model.config.decision
    if {row.split for row in rows} == {decision.fitted_on}:
        faces = CalibrationSet.of(observe(model, rows, FITTED_ON, cache, device))
        if fit := crossfit(faces, rows, decision.criteria):
            turns = np.array([fit.halves[row.stratum] for row in rows], dtype=np.int64)
            return Judges(fit.decisions, turns, True)
    return Judges.one(decision, rows)


def decide(observed: Observations, judges: Judges, limits: Limits, root: Path) -> Scores:
    """Every delivered file as one row; `root` is the folder of the manifest."""
    probabilities, quality, found = judges.p_fake(observed), observed.quality, []
    for picture in observed.pictures:
        file = int(observed.file[picture[0]])
        decision = judges.decisions[judges.turns[file]]
        faces = tuple(_face(float(probabilities[k]), quality[k], decision, limits) for k in picture.tolist())
        item = Scored(observed.rows[file], Prediction("", faces=faces), bool(observed.detected[picture[0]]))
        found.append(columns(item, str(observed.delivery[picture[0]]), root, decision.threshold))
    return Scores.from_rows(found)


def _face(p_fake: float, measured: Quality, decision: Decision, limits: Limits) -> Face:
    """The part of a face that speaks for its picture; where it lies does not matter any more."""
    verdict = Verdict.UNCERTAIN if reasons(measured, limits) else calibration.verdict(p_fake, decision)
    return Face((0.0, 0.0, measured.face_px, measured.face_px), (), 1.0, p_fake, verdict)
