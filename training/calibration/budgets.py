"""False-accusation budgets: thresholds that keep a false-alarm rate, and the recall that is left."""

from collections.abc import Sequence

import numpy as np

from facecheck.error_rates import Budget
from training.calibration.calibration_set import CalibrationSet
from training.evaluation.metrics import Bools, Floats, Words, clustered_interval, effective_count, wilson

ROUNDS = 500


def measure_budgets(
    probabilities: Floats, data: CalibrationSet, rates: Sequence[float], rounds: int = ROUNDS
) -> tuple[Budget, ...]:
    """The budgets for `rates`, rising; a rate that so few photographs cannot support is left out.

    A budget's threshold is the highest of those that its tiers need: the promise holds however the picture arrives.

    Args:
        probabilities: (N,) p_fake of the rows of `data`.
        rounds: of the bootstrap of the recall; 0 for those who need the thresholds only.
    """
    found = []
    for rate in sorted(rates):
        threshold = max(_tier_threshold(probabilities, data, tier, rate) for tier in np.unique(data.tiers))
        if threshold <= 1:
            found.append(Budget(rate, threshold, *_share(probabilities >= threshold, data, 1, rounds)))
    return tuple(found)


def stated(budget: Budget, called: Bools, data: CalibrationSet) -> Budget:
    """The budget with what was measured where neither the network nor the threshold had seen the sources.

    Args:
        called: (N,) which rows of `data` are called fake under it.
    """
    return Budget(budget.max_fpr, budget.threshold, *_share(called, data, 1), *_share(called, data, 0))


def conformal_threshold(scores: Floats, groups: Words, max_fpr: float, weights: Floats | None = None) -> float:
    """The lowest threshold at which a new photograph is called fake with a probability of at most `max_fpr`.

    Split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates 2023): the order statistic
    ceil((1 - max_fpr) (n + 1)) of n scores, not their quantile, so that the promise holds for few of them too. Pictures
    of one group are not independent; with groups it is the weighted quantile of Lee, Barber and Willett (2023): G
    groups and the unseen one weigh 1 / (G + 1) each, shared by a group's members. With groups of one both are the same.

    Args:
        scores: (N,) p_fake of photographs. groups: (N,).
        weights: (N,) in place of equal groups, for a new photograph from a mixture in which they weigh like this
            (Tibshirani et al. 2019); the unseen one still weighs 1 / (G + 1).

    Returns:
        A face is fake from it on (>=). Infinity: there are too few groups for this rate, fewer than 1 / max_fpr - 1.
    """
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    each = 1 / sizes[member_of] if weights is None else weights / weights.sum() * len(sizes)
    order = np.argsort(scores)
    reached = np.cumsum(each[order]) / (len(sizes) + 1)
    # Sums of fractions may miss the rate by a rounding error.
    enough = np.flatnonzero(reached >= 1 - max_fpr - 1e-12)
    return float(np.nextafter(scores[order[enough[0]]], np.inf)) if len(enough) else float("inf")


def _tier_threshold(probabilities: Floats, data: CalibrationSet, tier: str, rate: float) -> float:
    here = (data.tiers == tier) & (data.targets == 0)
    return conformal_threshold(probabilities[here], data.groups[here], rate, data.weights[here])


def _share(called: Bools, data: CalibrationSet, target: int, rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Share of a class that is called fake over all tiers, and a 95 % interval; sources weigh the same.

    The interval spans two: the bootstrap over whole sources, as the next pictures come from others, and that of Wilson
    (1927) over as many groups as weigh the same, which is not empty where every face or none is called fake.
    """
    mine = data.targets == target
    part, hits, weights = data.where(mine), called[mine].astype(np.float64), data.weights[mine]
    share, tiers = float(np.average(hits, weights=weights)), len(np.unique(data.tiers))
    groups = max(round(min(len(np.unique(part.groups)), effective_count(weights) / tiers)), 1)
    outer = wilson(share * groups, groups)
    if not rounds:
        return share, *outer
    low, high = clustered_interval(
        lambda rows: float(np.average(hits[rows], weights=weights[rows])), part.sources, part.targets, rounds
    )
    return share, min(low, outer[0]), max(high, outer[1])
