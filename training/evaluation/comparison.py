"""Is the second model better than the first? Both on the same bootstrap samples of the same files."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.evaluation.metrics import Floats, clustered_draws
from training.evaluation.scores import Scores
from training.evaluation.summary import report_of, resampled


@dataclass(frozen=True)
class Difference:
    """One metric of two models in one tier.

    Attributes:
        difference: second - first, with its 95 % interval `low` to `high`.
        p_value: two-sided, of no difference, from the same bootstrap.
    """

    tier: str
    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def compare(
    first: Scores, second: Scores, rounds: int = 500, seed: int = 0, over_sources: bool = False
) -> list[Difference]:
    """Paired bootstrap in every tier that both have.

    Args:
        over_sources: draw whole sources anew, for what is said of sources that neither has seen; otherwise groups
            (near-duplicates, identities, prompts), for what is said of more pictures from the same sources.

    Raises:
        ValueError: no tier in common, or a tier's files or labels differ.
    """
    ours, theirs = first.by_tier(), second.by_tier()
    common = [tier for tier in ours if tier in theirs]
    if not common:
        raise ValueError(f"no tier in common: {', '.join(ours)} against {', '.join(theirs)}")
    return [
        item for tier in common for item in _differences(tier, ours[tier], theirs[tier], rounds, seed, over_sources)
    ]


def _differences(
    tier: str, first: Scores, second: Scores, rounds: int, seed: int, over_sources: bool
) -> Iterator[Difference]:
    first, second = first.where(np.argsort(first.file)), second.where(np.argsort(second.file))
    if not (np.array_equal(first.file, second.file) and np.array_equal(first.label, second.label)):
        raise ValueError(f"tier {tier!r}: the two were not scored on the same files with the same labels")
    clusters = first.strata if over_sources else np.where(first.group == "", first.file, first.group)
    draws = list(clustered_draws(clusters, first.targets, rounds, seed))
    gaps = resampled(second, draws) - resampled(first, draws)
    before, after = report_of(first).named(), report_of(second).named()
    for metric, gap in zip(before, gaps.T, strict=True):
        low, high = np.quantile(gap, [0.025, 0.975]).tolist()
        change = after[metric] - before[metric]
        yield Difference(tier, metric, before[metric], after[metric], change, low, high, _p_value(gap))


def _p_value(gaps: Floats) -> float:
    """Twice the smaller tail, with the one that was observed counted in (Davison and Hinkley 1997, 4.2)."""
    tail = 1 + min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return min(2 * tail / (1 + len(gaps)), 1.0)
