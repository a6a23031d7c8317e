"""The report's tables as Markdown. Each function gives a heading, an explanation and a table, or nothing."""

from collections.abc import Iterable, Sequence

from training.compare import Difference
from training.metrics import FALSE_ALARM_RATES, Rate
from training.robustness import CurvePoint
from training.summary import POOLED_FALSE_ALARMS, SMALLEST_GROUP, TierSummary


def overall(tiers: Sequence[TierSummary]) -> str:
    """The table of tiers, and the intervals of every metric."""
    rates = [f"TPR@{rate:.1%} FPR" for rate in FALSE_ALARM_RATES]
    head = ["tier", "balanced accuracy", "forced", "coverage", "AUC [95 %]", "AP", *rates, "EER", "ECE", "Brier",
            "AURC", "missed by MTCNN"]  # fmt: skip
    names = list(tiers[0].report.named())
    intervals = _table(["tier", *names], ([t.tier, *(_span(t.intervals[name]) for name in names)] for t in tiers))
    worst = _table(
        ["tier", "worst source", "its error", "worst attribute", "its error"],
        ([t.tier, *_worst(t.worst_source), *_worst(t.worst_slice)] for t in tiers),
    )
    return "\n\n".join((
        "## Tiers", _table(head, (_tier_cells(tier) for tier in tiers)),
        "95 % intervals, bootstrap over whole sources:", intervals,
        f"Worst group of at least {SMALLEST_GROUP} faces, error of forced answers:", worst,
    ))  # fmt: skip


def _tier_cells(tier: TierSummary) -> list[str]:
    r = tier.report
    return [
        tier.tier, f"{r.balanced_accuracy:.3f}", f"{r.forced:.3f}", f"{r.coverage:.3f}",
        f"{r.auc:.4f} {_span(tier.intervals['auc'])}", f"{r.ap:.4f}", *(f"{value:.3f}" for value in r.tpr_at),
        f"{r.eer:.3f}", f"{r.ece:.3f}", f"{r.brier:.3f}", f"{tier.aurc:.4f}", f"{tier.missed} of {r.faces}",
    ]  # fmt: skip


def sources(tiers: Sequence[TierSummary]) -> str:
    """Verdicts and forced errors of every source in every tier."""
    found = [{source.name: source for source in tier.sources} for tier in tiers]
    head = ["source", "faces"]
    head += [f"{tier.tier}: right / uncertain" for tier in tiers] + [f"{tier.tier}: forced error" for tier in tiers]
    lines = (
        [name, str(source.faces)]
        + [f"{t[name].right:.1%} / {t[name].uncertain:.1%}" if name in t else "" for t in found]
        + [_rate(t[name].error) if name in t else "" for t in found]
        for name, source in found[0].items()
    )
    note = "The forced error of a real source is its false-alarm rate at the threshold. Intervals: Wilson, 95 %."
    return f"## Sources\n\n{note}\n\n{_table(head, lines)}"


def generators(tiers: Sequence[TierSummary]) -> str:
    """Every generator's fakes against all photographs."""
    lines = (
        [tier.tier, g.name, str(g.caught.faces), f"{g.auc:.4f}", f"{g.tpr:.3f}", _rate(g.caught)]
        for tier in tiers
        for g in tier.generators
    )
    at = f"{POOLED_FALSE_ALARMS:.0%}"
    head = ["tier", "generator", "faces", "AUC", f"TPR@{at} FPR", "caught at the threshold"]
    note = f"Each generator against all photographs; TPR where {at} of all of them are accused."
    return f"## Generators\n\n{note}\n\n{_table(head, lines)}"


def sizes(tiers: Sequence[TierSummary]) -> str:
    """Error of forced answers by face size."""
    lines = [[t.tier, item.name, str(item.faces), _rate(item)] for t in tiers for item in t.sizes]
    return _section("## Face sizes", "", ["tier", "face, px", "faces", "forced error"], lines)


def fairness(tiers: Sequence[TierSummary]) -> str:
    """False alarms and misses by attribute."""
    lines = [
        [t.tier, s.attribute, s.error.name, "accused photographs" if s.label == "real" else "missed fakes",
         str(s.error.faces), _rate(s.error)]
        for t in tiers for s in t.fairness
    ]  # fmt: skip
    note = (
        "Forced answers, where the source says who is in the picture. Few faces make wide intervals: read those first."
    )
    return _section("## Fairness", note, ["tier", "attribute", "group", "error", "faces", "rate"], lines)


def robustness(points: Sequence[CurvePoint]) -> str:
    """The robustness curves as numbers."""
    head = ["damage", "level", "AUC", "forced", "generated, caught", "photographs, accused"]
    lines = [
        [f"{p.curve} ({p.unit})", f"{p.level:g}", f"{p.auc:.4f}", f"{p.forced:.3f}", f"{p.caught:.3f}",
         f"{p.false_alarms:.3f}"]
        for p in points
    ]  # fmt: skip
    note = f"One damage at a time on the same {points[0].faces} faces, forced answers." if points else ""
    return _section("## Robustness", note, head, lines)


def differences(compared: Sequence[Difference], first: str, second: str) -> str:
    """The paired comparison."""
    head = ["tier", "metric", first, second, "difference [95 %]", "p"]
    lines = [
        [d.tier, d.metric, f"{d.first:.4f}", f"{d.second:.4f}", f"{d.difference:+.4f} [{d.low:+.4f}, {d.high:+.4f}]",
         f"{d.p_value:.3f}"]
        for d in compared
    ]  # fmt: skip
    note = "Paired bootstrap over groups. Lower is better for eer, ece and brier."
    return _section("## Comparison", note, head, lines)


def _section(heading: str, note: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n\n".join(part for part in (heading, note, _table(head, lines)) if part) if lines else ""


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join([_line(head), "|" + "---|" * len(head), *(_line(cells) for cells in lines)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _span(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _rate(item: Rate) -> str:
    return f"{item.rate:.1%} [{item.low:.1%}, {item.high:.1%}]"


def _worst(item: Rate | None) -> tuple[str, str]:
    return (item.name, _rate(item)) if item else ("none so large", "")
