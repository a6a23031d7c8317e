"""The report's pictures: each function draws a figure without touching matplotlib's global state."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from training.evaluation.corruptions import CurvePoint
from training.evaluation.metrics import ECE_BINS, FALSE_ALARM_RATES, Bools, Floats, Rate, coverage_risk, roc_curve
from training.evaluation.scores import Scores
from training.evaluation.summary import TierSummary

DPI = 120
LOWEST_FALSE_ALARM_RATE = 1e-3
SMALLEST_BIN = 30
FALLING = ("jpeg", "scale")
"""Curves whose harmless end is the high one."""


def png(figure: Figure) -> bytes:
    """The figure as a file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def reliability(tiers: Mapping[str, Scores]) -> Figure:
    """Share of fakes against mean p_fake, sources weighing the same, with how many faces each point rests on.

    Of 15 equal bins neighbours are joined until each holds `SMALLEST_BIN` faces; below, the faces of the 15 bins.
    """
    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot((0, 1), (0, 1), color="0.6", linestyle=":", label="perfectly calibrated")
    for tier, part in tiers.items():
        bins = [np.flatnonzero(mask) for mask in reliability_bins(part.p_fake)]
        mean, share = (
            [float(np.average(values[inside], weights=part.weights[inside])) for inside in bins]
            for values in (part.p_fake, part.targets)
        )
        (drawn,) = above.plot(mean, share, marker="o", markersize=4, label=tier)
        for x, y, inside in zip(mean, share, bins, strict=True):
            above.annotate(str(len(inside)), (x, y), (3, -9), textcoords="offset points", fontsize=6,
                           color=drawn.get_color())  # fmt: skip
    below.hist([part.p_fake for part in tiers.values()], bins=np.linspace(0, 1, ECE_BINS + 1).tolist())
    below.set(yscale="log", ylim=(0.7, None))
    _words(above, "Reliability", "", "share of generated faces")
    _words(below, "", "p_fake", "faces")
    above.legend(loc="upper left")
    return figure


def reliability_bins(p_fake: Floats) -> list[Bools]:
    """Masks of `ECE_BINS` equal bins of p_fake, neighbours joined from below until each holds `SMALLEST_BIN` faces."""
    bins = np.minimum((p_fake * ECE_BINS).astype(int), ECE_BINS - 1)
    joined, start = [], 0
    for end in range(1, ECE_BINS + 1):
        if ((bins >= start) & (bins < end)).sum() >= SMALLEST_BIN:
            joined.append((start, end))
            start = end
    if start < ECE_BINS and (bins >= start).any():
        first = joined.pop()[0] if joined else 0
        joined.append((first, ECE_BINS))
    return [(bins >= low) & (bins < high) for low, high in joined]


def roc(tiers: Mapping[str, Scores]) -> Figure:
    """ROC curves on a logarithmic axis, because few false alarms are what matters."""
    figure, axes = _one()
    for tier, part in tiers.items():
        fpr, tpr, _ = roc_curve(part.targets, part.p_fake)
        axes.plot(fpr.clip(LOWEST_FALSE_ALARM_RATE), tpr, drawstyle="steps-post", label=tier)
    for rate in FALSE_ALARM_RATES:
        axes.axvline(rate, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xscale="log", xlim=(LOWEST_FALSE_ALARM_RATE, 1), ylim=(0, 1.01))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1%}"))
    _words(axes, "ROC", "false-alarm rate: photographs called generated", "share of generated faces caught")
    axes.legend(loc="lower right")
    return figure


def coverage_against_risk(tiers: Mapping[str, Scores]) -> Figure:
    """Error of the answers that remain when only the most confident are given."""
    figure, axes = _one()
    for tier, part in tiers.items():
        coverage, risk = coverage_risk(part.confidence, part.forced_choice)
        axes.plot(coverage, risk, label=f"{tier}, AURC {risk.mean():.4f}")
    _percent(axes, x=True)
    axes.set(xlim=(0, 1), ylim=(0, None))
    _words(axes, "Coverage and risk", "share of faces answered, most confident first", "error of these answers")
    axes.legend(loc="upper left")
    return figure


def size_error(summaries: Sequence[TierSummary]) -> Figure:
    """Error of forced answers by face size, with Wilson intervals."""
    figure, axes = _one()
    names = list(dict.fromkeys(item.name for summary in summaries for item in summary.sizes))
    names.sort(key=lambda name: int("".join(filter(str.isdigit, name.partition(" to ")[0]))))
    for shift, summary in enumerate(summaries):
        places = [names.index(item.name) + 0.12 * shift for item in summary.sizes]
        _with_intervals(axes, places, summary.sizes, summary.tier)
    axes.set_xticks(range(len(names)), names, rotation=20)
    axes.set_ylim(0, None)
    _percent(axes)
    _words(axes, "Error by face size", "longer side of the face box, px", "error of forced answers")
    axes.legend()
    return figure


def robustness(points: Sequence[CurvePoint]) -> Figure:
    """One panel for each corruption: fakes caught, photographs cleared, and their mean."""
    curves = list(dict.fromkeys(point.curve for point in points))
    figure = Figure(figsize=(3.2 * len(curves), 3.6), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, curve in zip(panels, curves, strict=True):
        mine = [point for point in points if point.curve == curve]
        levels = [point.level for point in mine]
        axes.plot(
            levels, [point.true_positive_rate for point in mine], marker="o", markersize=3, label="generated, caught"
        )
        axes.plot(
            levels, [1 - p.false_positive_rate for p in mine], marker="s", markersize=3, label="photographs, cleared"
        )
        axes.plot(
            levels, [point.forced_choice for point in mine], color="0.3", linestyle="--", label="balanced accuracy"
        )
        if curve in FALLING:
            axes.invert_xaxis()
        axes.set_ylim(0, 1.02)
        _percent(axes)
        _words(axes, curve, mine[0].unit, "share of faces" if axes is panels[0] else "")
    panels[0].legend(loc="lower left", fontsize="small")
    figure.suptitle(f"Robustness, forced answers, {points[0].faces} faces; corruption grows to the right")
    return figure


def _one() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    return figure, figure.subplots()


def _words(axes: Axes, title: str, below: str, beside: str) -> None:
    axes.set(title=title, xlabel=below, ylabel=beside)
    axes.grid(alpha=0.25)


def _percent(axes: Axes, x: bool = False) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    if x:
        axes.xaxis.set_major_formatter(PercentFormatter(1))


def _with_intervals(axes: Axes, places: Sequence[float], rates: Sequence[Rate], label: str) -> None:
    values = [item.rate for item in rates]
    reach = [[item.rate - item.low for item in rates], [item.high - item.rate for item in rates]]
    axes.errorbar(places, values, yerr=np.abs(reach), marker="o", markersize=4, capsize=2, linestyle="", label=label)
