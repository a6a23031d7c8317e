"""What a fitted decision does, each face judged by the half of the fit that has not seen its source; as markdown."""

import numpy as np

from facecheck import calibration
from facecheck.model.config import Decision
from training.calibration.calibration_set import CalibrationSet
from training.calibration.crossfit import CrossFit
from training.evaluation.metrics import Floats, Words, balanced, expected_calibration_error


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
    parts = ([how], _tiers(data, decision, judge, shown), _sources(data, judge, shown), _budgets(data, decision, judge,
             shown), _scaling(decision))  # fmt: skip
    return "\n\n".join("\n".join(lines) for lines in parts)


def _header(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def _tiers(data: CalibrationSet, decision: Decision, judge: CrossFit, shown: Words) -> list[str]:
    raw, new, weights = calibration.p_fake(data.logits, Decision()), judge.p_fake(data), data.weights
    right = (judge.called(data) == data.targets).astype(np.float64)
    abstained = judge.abstained(data)
    lines = [
        f"threshold {decision.threshold:.4f}, uncertain {decision.uncertain_from:.4f} to {decision.uncertain_to:.4f}",
        "",
        *_header("tier", "faces", "ECE raw", "ECE", "balanced accuracy", "forced choice", "coverage", "risk"),
    ]
    for tier in shown:
        here = data.tiers == tier
        targets, mine, answered = data.targets[here], weights[here], ~abstained[here]
        errors = (expected_calibration_error(p[here], targets, mine) for p in (raw, new))
        credit = np.where(answered, right[here], 0.5)
        risk = np.average(1 - right[here][answered], weights=mine[answered]) if answered.any() else 0.0
        accuracy = balanced(credit, targets, mine), balanced(right[here], targets, mine)
        cells = (*errors, *accuracy, _mean(answered * 1.0, mine), risk)
        lines.append(f"| {tier} | {here.sum()} | {' | '.join(f'{value:.3f}' for value in cells)} |")
    return lines


def _mean(values: Floats, weights: Floats) -> float:
    return float(np.average(values, weights=weights))


def _sources(data: CalibrationSet, judge: CrossFit, shown: Words) -> list[str]:
    lines, called = _header("photographs of", "faces", *(f"{tier}: false alarms" for tier in shown)), judge.called(data)
    for source in np.unique(data.sources[data.targets == 0]):
        rates = [called[(data.sources == source) & (data.tiers == tier)] for tier in shown]
        lines.append(f"| {source} | {len(rates[0])} | {' | '.join(f'{rate.mean():.1%}' for rate in rates)} |")
    return lines


def _budgets(data: CalibrationSet, decision: Decision, judge: CrossFit, shown: Words) -> list[str]:
    lines = _header("max-fpr", "threshold", "recall [95 %]", "false alarms [95 %]", *shown)
    for b in decision.budgets:
        called = judge.called(data, b.max_fpr)
        real = [(data.targets == 0) & (data.tiers == tier) for tier in shown]
        rates = [_mean(called[here] * 1.0, data.weights[here]) for here in real]
        recall = f"{b.recall:.3f} [{b.recall_low:.3f}, {b.recall_high:.3f}]"
        fpr = "not measured" if b.fpr is None else f"{b.fpr:.2%} [{b.fpr_low:.2%}, {b.fpr_high:.2%}]"
        cells = " | ".join(f"{rate:.2%}" for rate in rates)
        lines.append(f"| {b.max_fpr:g} | {b.threshold:.4f} | {recall} | {fpr} | {cells} |")
    return lines


def _scaling(decision: Decision) -> list[str]:
    lines = [*_header("face, px", "temperature", "bias")]
    lines += [f"| {knot.face_px:g} | {knot.temperature:.3f} | {knot.bias:+.3f} |" for knot in decision.knots]
    return [*lines, f"| pooled | {decision.temperature:.3f} | {decision.bias:+.3f} |"]
