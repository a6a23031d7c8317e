"""What a fitted decision does on the validation faces, as markdown."""

import numpy as np

from facecheck import calibration
from facecheck.model.config import Decision
from training.calibration.calibrate import crossfitted
from training.calibration.validation import Bools, Strings, Validation
from training.evaluation.metrics import Floats, Ints, balanced, expected_calibration_error


def decision_markdown(data: Validation, decision: Decision) -> str:
    """Tables of the tiers, the sources of photographs, the budgets and the scaling by face size."""
    probabilities = calibration.p_fake(data.logits, decision, data.face_px)
    shown = data.tiers[np.sort(np.unique(data.tiers, return_index=True)[1])]
    parts = (
        _tiers(data, decision, probabilities, shown),
        _sources(data, probabilities >= decision.threshold, shown),
        _budgets(data, decision, probabilities, shown),
        _scaling(decision),
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def _header(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def _tiers(data: Validation, decision: Decision, probabilities: Floats, shown: Strings) -> list[str]:
    raw = calibration.p_fake(data.logits, Decision())
    new = crossfitted(data)
    lines = [
        f"threshold {decision.threshold:.4f}, uncertain {decision.uncertain_from:.4f} to {decision.uncertain_to:.4f}",
        "",
        *_header("tier", "faces", "ECE raw", "ECE cross-fitted", "balanced accuracy", "forced choice", "coverage"),
    ]
    for tier in shown:
        here = data.tiers == tier
        targets, p = data.targets[here], probabilities[here]
        right = ((p >= decision.threshold) == targets).astype(np.float64)
        doubted = (p >= decision.uncertain_from) & (p < decision.uncertain_to)
        lines.append(
            f"| {tier} | {here.sum()} | {_ece(raw[here], targets)} | {_ece(new[here], targets)} | "
            f"{balanced(np.where(doubted, 0.5, right), targets):.4f} | {balanced(right, targets):.4f} | "
            f"{1 - doubted.mean():.3f} |"
        )
    return lines


def _ece(probabilities: Floats, targets: Ints) -> str:
    if np.isnan(probabilities).any():
        return "too few groups"
    return f"{expected_calibration_error(probabilities, targets):.3f}"


def _sources(data: Validation, accused: Bools, shown: Strings) -> list[str]:
    lines = _header("photographs of", "faces", *(f"{tier}: false alarms" for tier in shown))
    for source in np.unique(data.sources[data.targets == 0]):
        rates = [accused[(data.sources == source) & (data.tiers == tier)] for tier in shown]
        lines.append(f"| {source} | {len(rates[0])} | {' | '.join(f'{rate.mean():.1%}' for rate in rates)} |")
    return lines


def _budgets(data: Validation, decision: Decision, probabilities: Floats, shown: Strings) -> list[str]:
    lines = _header("max-fpr", "threshold", "expected recall [95 %]", *(f"{tier}: false alarms" for tier in shown))
    for b in decision.budgets:
        rates = [(probabilities >= b.threshold)[(data.targets == 0) & (data.tiers == tier)].mean() for tier in shown]
        recall = f"{b.recall:.3f} [{b.recall_low:.3f}, {b.recall_high:.3f}]"
        cells = " | ".join(f"{rate:.2%}" for rate in rates)
        lines.append(f"| {b.max_fpr:g} | {b.threshold:.4f} | {recall} | {cells} |")
    return lines


def _scaling(decision: Decision) -> list[str]:
    lines = [*_header("face, px", "temperature", "bias")]
    lines += [f"| {knot.face_px:g} | {knot.temperature:.3f} | {knot.bias:+.3f} |" for knot in decision.knots]
    return [*lines, f"| pooled | {decision.temperature:.3f} | {decision.bias:+.3f} |"]
