"""False-accusation budgets: thresholds that keep a false-alarm rate, and the recall that is left."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from facecheck.result import Budget
from training.calibration.validation import Bools, Strings, Validation
from training.evaluation.metrics import Floats, clustered_interval


def measure_budgets(probabilities: Floats, data: Validation, rates: Sequence[float]) -> tuple[Budget, ...]:
    """The budgets for `rates`, rising; a rate that so few photographs cannot support is left out.

    A budget's threshold is the highest of those that its tiers need: the promise holds however the picture arrives.

    Args:
        probabilities: (N,) p_fake of the rows of `data`.
    """
    found = []
    for rate in sorted(rates):
        threshold = max(_tier_threshold(probabilities, data, tier, rate) for tier in np.unique(data.tiers))
        if threshold <= 1:
            found.append(Budget(rate, threshold, *_recall(probabilities >= threshold, data)))
    return tuple(found)


def conformal_threshold(scores: Floats, groups: Strings, max_fpr: float) -> float:
    """The lowest threshold at which a new photograph is called fake with a probability of at most `max_fpr`.

    Split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates 2023): the order statistic
    ceil((1 - max_fpr) (n + 1)) of n scores, not their quantile, so that the promise holds for few of them too. Pictures
    of one group are not independent; with groups it is the weighted quantile of Lee, Barber and Willett (2023): G
    groups and the unseen one weigh 1 / (G + 1) each, shared by a group's members. With groups of one both are the same.

    Args:
        scores: (N,) p_fake of photographs. groups: (N,).

    Returns:
        A face is fake from it on (>=). Infinity: there are too few groups for this rate, fewer than 1 / max_fpr - 1.
    """
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores)
    weight = np.cumsum(1 / sizes[member_of[order]]) / (len(sizes) + 1)
    # Sums of fractions may miss the rate by a rounding error.
    enough = np.flatnonzero(weight >= 1 - max_fpr - 1e-12)
    return float(np.nextafter(scores[order[enough[0]]], np.inf)) if len(enough) else float("inf")


def _tier_threshold(probabilities: Floats, data: Validation, tier: str, rate: float) -> float:
    here = (data.tiers == tier) & (data.targets == 0)
    return conformal_threshold(probabilities[here], data.groups[here], rate)


def _recall(caught: Bools, data: Validation) -> tuple[float, float, float]:
    """Share of the generated faces caught over all tiers, and a 95 % interval.

    The interval spans two: the bootstrap over whole generators, as the next pictures come from another mix of them, and
    that of Wilson (1927) over groups, which is not empty where every face or none is caught.
    """
    fakes = data.where(data.targets == 1)
    hits = caught[data.targets == 1].astype(np.float64)
    groups = len(np.unique(fakes.groups))
    wilson = binomtest(round(hits.mean() * groups), groups).proportion_ci(method="wilson")
    low, high = clustered_interval(lambda rows: float(hits[rows].mean()), fakes.sources, fakes.targets)
    return float(hits.mean()), min(low, float(wilson.low)), max(high, float(wilson.high))
