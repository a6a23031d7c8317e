"""The report's tables as Markdown. Each function gives a heading, an explanation and a table, or nothing."""

from collections.abc import Sequence

from training.evaluation.corruptions import CurvePoint
from training.evaluation.metrics import FALSE_ALARM_RATES, Rate, table
from training.evaluation.summary import (
    MOST_FALSE_ALARMS,
    POOLED_FALSE_ALARMS,
    SMALLEST_AIMED,
    SMALLEST_GROUP,
    Difference,
    TierSummary,
)

AIMED_ACCURACY = {"clean": 0.95, "web": 0.93, "hard": 0.90}
AIMED_TPR, AIMED_ECE = 0.85, 0.03
AIMED_AT = "tpr@1.0%"
Cells = dict[tuple[str, ...], str]
"""One column of a table: the words that begin a line -> what stands there."""


def aims(tiers: Sequence[TierSummary], others: Sequence[TierSummary] = (), other: str = "") -> str:
    """What is aimed at on unseen sources, what is reached, and what another model reaches on the same files."""
    earlier = {tier.tier: tier for tier in others}
    lines = [line for tier in tiers for line in _aimed(tier, earlier.get(tier.tier))]
    note = (
        "Balanced accuracy of forced choices: every face is answered at the one threshold that ships. "
        "Sources weigh the same, large or small; intervals: bootstrap over sources, 95 %."
    )
    head = ["tier", "metric", "aim", "reached [95 %]", *([other] if others else [])]
    return _section("## Aims", note, head, [line[: len(head)] for line in lines])


def _aimed(tier: TierSummary, before: TierSummary | None) -> list[list[str]]:
    values, old = tier.report.named(), before.report.named() if before else {}
    wanted = [
        (
            "forced_choice",
            "balanced accuracy",
            f">= {AIMED_ACCURACY[tier.tier]:.2f}" if tier.tier in AIMED_ACCURACY else "",
        ),
        (AIMED_AT, "TPR@1% FPR", f">= {AIMED_TPR}"),
        ("ece", "ECE", f"<= {AIMED_ECE}"),
    ]
    lines = [
        [tier.tier, words, aim, f"{values[name]:.3f} {_span(tier.intervals[name])}", f"{old[name]:.3f}" if old else ""]
        for name, words, aim in wanted
    ]
    alarms = f"false alarms of the worst source of {SMALLEST_AIMED} photographs or more"
    aim = f"<= {MOST_FALSE_ALARMS:.0%}"
    return [*lines, [tier.tier, alarms, aim, _alarms(tier), _alarms(before) if before else ""]]


def _alarms(tier: TierSummary) -> str:
    real = [s.error for s in tier.sources if s.name.startswith("real/") and s.error.faces >= SMALLEST_AIMED]
    if not real:
        return "no source so large"
    worst = max(real, key=lambda item: item.rate)
    return f"{_rate(worst)} {worst.name}; {len(tier.alarming)} of {len(real)} above {MOST_FALSE_ALARMS:.0%}"


def overall(tiers: Sequence[TierSummary]) -> str:
    """The table of tiers, and the intervals of every metric."""
    rates = [f"TPR@{rate:.1%} FPR" for rate in FALSE_ALARM_RATES]
    head = ["tier", "balanced accuracy", "forced choice", "coverage", "wrong of the answers", "AUC [95 %]", "AP",
            *rates, "EER", "ECE", "Brier", "AURC", "missed by MTCNN"]  # fmt: skip
    names = list(tiers[0].report.named())
    intervals = table(["tier", *names], ([t.tier, *(_span(t.intervals[name]) for name in names)] for t in tiers))
    worst = table(
        ["tier", "photographs", "accused", "fakes", "missed", "attribute", "error"],
        ([t.tier, *_worst(t.worst_real), *_worst(t.worst_fake), *_worst(t.worst_slice)] for t in tiers),
    )
    return "\n\n".join((
        "## Tiers", table(head, (_tier_cells(tier) for tier in tiers)),
        "95 % intervals, bootstrap over whole sources:", intervals,
        "Balanced accuracy of forced choices, by what weighs the same. Everywhere else a source of n faces weighs "
        "n / (n + 10): nearly the same, but four faces do not decide about a rate of 1 %.",
        table(
            ["tier", "sources, as far as their size can tell", "sources, exactly", "faces"],
            ([t.tier, *(f"{v:.3f}" for v in (t.report.forced_choice, t.source_alike, t.face_alike))] for t in tiers),
        ),
        f"Worst sources and worst attribute, of those with at least {SMALLEST_GROUP} faces, forced answers:", worst,
    ))  # fmt: skip


def _tier_cells(tier: TierSummary) -> list[str]:
    r = tier.report
    return [
        tier.tier, f"{r.balanced_accuracy:.3f}", f"{r.forced_choice:.3f}", f"{r.coverage:.3f}", f"{r.risk:.3f}",
        f"{r.auc:.4f} {_span(tier.intervals['auc'])}", f"{r.ap:.4f}", *(f"{value:.3f}" for value in r.tpr_at),
        f"{r.eer:.3f}", f"{r.ece:.3f}", f"{r.brier:.3f}", f"{tier.aurc:.4f}", f"{tier.missed} of {r.faces}",
    ]  # fmt: skip


def sources(tiers: Sequence[TierSummary], others: Sequence[TierSummary] = (), other: str = "") -> str:
    """Verdicts and forced errors of every source in every tier, and the errors of another model."""
    note = "The forced error of a real source is its false-alarm rate at the threshold. Intervals: Wilson, 95 %."
    right: list[Cells] = [
        {(x.name, str(x.faces)): f"{x.right:.1%} / {x.uncertain:.1%}" for x in t.sources} for t in tiers
    ]
    error: list[Cells] = [{(x.name, str(x.faces)): _rate(x.error) for x in t.sources} for t in tiers]
    before: list[Cells] = [{(x.name, str(x.faces)): f"{x.error.rate:.1%}" for x in t.sources} for t in others]
    heads = [f"{t.tier}: right / uncertain" for t in tiers] + [f"{t.tier}: forced error" for t in tiers]
    heads += [f"{t.tier}: of {other}" for t in others]
    return _across("## Sources", note, ["source", "faces"], heads, right + error + before)


def generators(tiers: Sequence[TierSummary], others: Sequence[TierSummary] = (), other: str = "") -> str:
    """Every generator's fakes against all photographs, and what another model catches of them."""
    at = f"{POOLED_FALSE_ALARMS:.0%}"
    note = (
        f"Each generator against all photographs; TPR where {at} of all of them are accused; caught at the threshold."
    )
    cells: list[Cells] = [
        {
            (g.name, str(g.true_positive_rate.faces)): f"{g.auc:.4f} / {g.tpr:.3f} / {_rate(g.true_positive_rate)}"
            for g in t.generators
        }
        for t in tiers
    ]
    before: list[Cells] = [
        {
            (g.name, str(g.true_positive_rate.faces)): f"{g.auc:.3f} / {g.true_positive_rate.rate:.1%}"
            for g in t.generators
        }
        for t in others
    ]
    heads = [f"{t.tier}: AUC / TPR@{at} FPR / caught" for t in tiers]
    heads += [f"{t.tier}: AUC / caught of {other}" for t in others]
    return _across("## Generators", note, ["generator", "faces"], heads, cells + before)


def sizes(tiers: Sequence[TierSummary]) -> str:
    """Error of forced answers by face size."""
    note = "Error of forced answers by the longer side of the face box after delivery."
    cells: list[Cells] = [{(item.name,): f"{_rate(item)} of {item.faces}" for item in t.sizes} for t in tiers]
    return _across("## Face sizes", note, ["face, px"], [t.tier for t in tiers], cells)


def fairness(tiers: Sequence[TierSummary]) -> str:
    """False alarms and misses by attribute."""
    note = (
        "Forced answers, where the source says who is in the picture. Few faces make wide intervals: read those first."
    )
    errors = {"real": "accused photographs", "fake": "missed fakes"}
    cells: list[Cells] = [
        {(s.attribute, s.error.name, errors[s.label], str(s.error.faces)): _rate(s.error) for s in t.fairness}
        for t in tiers
    ]
    return _across("## Fairness", note, ["attribute", "group", "error", "faces"], [t.tier for t in tiers], cells)


def robustness(points: Sequence[CurvePoint]) -> str:
    """The robustness curves as numbers."""
    head = ["corruption", "level", "AUC", "forced choice", "TPR (generated, caught)", "FPR (photographs, accused)"]
    lines = [
        [f"{p.curve} ({p.unit})", f"{p.level:g}", f"{p.auc:.4f}", f"{p.forced_choice:.3f}",
         f"{p.true_positive_rate:.3f}", f"{p.false_positive_rate:.3f}"]
        for p in points
    ]  # fmt: skip
    note = f"One corruption at a time on the same {points[0].faces} faces, forced answers." if points else ""
    return _section("## Robustness", note, head, lines)


def differences(compared: Sequence[Difference], first: str, second: str) -> str:
    """The paired comparison."""
    head = ["tier", "metric", first, second, "difference [95 %]", "p"]
    lines = [
        [d.tier, d.metric, f"{d.first:.4f}", f"{d.second:.4f}", f"{d.difference:+.4f} [{d.low:+.4f}, {d.high:+.4f}]",
         f"{d.p_value:.3f}"]
        for d in compared
    ]  # fmt: skip
    note = "Paired bootstrap. Lower is better for risk, eer, ece and brier."
    return _section("## Comparison", note, head, lines)


def _across(heading: str, note: str, keys: Sequence[str], heads: Sequence[str], columns: Sequence[Cells]) -> str:
    """One line for each key that occurs in a column; a column without it stays empty there."""
    lines = [
        [*key, *(column.get(key, "") for column in columns)] for key in dict.fromkeys(k for c in columns for k in c)
    ]
    return _section(heading, note, [*keys, *heads], lines)


def _section(heading: str, note: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n\n".join(part for part in (heading, note, table(head, lines)) if part) if lines else ""


def _span(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _rate(item: Rate) -> str:
    return f"{item.rate:.1%} [{item.low:.1%}, {item.high:.1%}]"


def _worst(item: Rate | None) -> tuple[str, str]:
    return (item.name, _rate(item)) if item else ("none so large", "")
