"""Choose the decision of a model: temperature and bias by size, threshold, uncertain band, false-accusation budgets.

On sources that the model has not learned from, all of them weighing the same. The method with its sources:
docs/calibration.md.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from facecheck import calibration
from facecheck.error_rates import Budget
from facecheck.model.config import Criteria, Decision, Knot
from training.evaluation.metrics import Bools, Floats, Ints, Words, clustered_interval, effective_count, wilson
from training.evaluation.observations import CalibrationSet

KNOTS_PX = (32.0, 64.0, 128.0, 256.0)
SPREAD = 0.3
"""How far temperature (in log) and bias (in temperatures) are expected to differ between face sizes."""
LARGEST_TEMPERATURE, LARGEST_BIAS = 20.0, 20.0
NEARLY_BEST = 0.001
CAPPED_TIERS = ("clean", "web")
SMALLEST_SOURCE = 20
ROUNDS = 500
BAND_STEPS = 120
"""Thresholds that are tried on each side of an uncertain band."""


def fit_decision(data: CalibrationSet, criteria: Criteria, fitted_on: str = "", rounds: int = ROUNDS) -> Decision:
    """The decision for a model, from its logits; thresholds look at the evaluated tiers only.

    What its budgets say of recall and false alarms is measured on these very faces: `training.crossfit`
    replaces it.

    Args:
        fitted_on: name of the split, for the config. rounds: see `measure_budgets`.

    Raises:
        ValueError: a class is missing, or too few photographs for the budget `criteria.max_fpr`.
    """
    scaling, delivered = fit_scaling(data), data.delivered()
    probabilities = calibration.p_fake(delivered.logits, scaling, delivered.face_px)
    rates = sorted({*criteria.budgets, *((criteria.max_fpr,) if criteria.max_fpr is not None else ())})
    scaling = replace(scaling, budgets=measure_budgets(probabilities, delivered, rates, rounds))
    if criteria.max_fpr is not None:
        kept = [budget for budget in scaling.budgets if budget.max_fpr == criteria.max_fpr]
        if not kept:
            raise ValueError(f"too few photographs to choose a threshold for a false-alarm rate of {criteria.max_fpr}")
        threshold = kept[0].threshold
    else:
        floor = 0.0 if criteria.source_cap is None else _source_floor(probabilities, delivered, criteria.source_cap)
        threshold = choose_threshold(probabilities, delivered.targets, floor, delivered.weights)
    low, high = _band(probabilities, delivered, threshold, criteria)
    return replace(
        scaling, threshold=threshold, uncertain_from=low, uncertain_to=high, fitted_on=fitted_on, criteria=criteria
    )


def fit_scaling(data: CalibrationSet) -> Decision:
    """Temperature and bias, pooled and by face size; the rest of the decision is left neutral.

    Each knot is a fit of its own in which a face counts by its nearness to the knot in log size (local likelihood:
    Tibshirani and Hastie 1987), drawn towards the pooled fit (see `fit_scale`), which it equals where a class has no
    faces.
    """
    # A file that is scored in several tiers is one face's worth of evidence.
    share = data.weights * len(data) / len(np.unique(data.tiers))
    pooled = fit_scale(data.logits, data.targets, share)
    at, sizes = np.log(np.maximum(data.face_px, 1)), np.log(KNOTS_PX)
    knots = []
    for face_px, only_here in zip(KNOTS_PX, np.eye(len(KNOTS_PX)), strict=True):
        nearness = np.interp(at, sizes, only_here)
        knots.append(Knot(face_px, *fit_scale(data.logits, data.targets, share * nearness, prior=pooled)))
    return Decision(temperature=pooled[0], bias=pooled[1], knots=tuple(knots))


def fit_scale(
    logits: Floats, targets: Ints, weights: Floats, prior: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The (temperature, bias) with the least log loss, both classes weighing the same (Platt 1999).

    Equal classes matter at each size: photographs here are smaller than generated faces, and a bias that learned
    "small means real" would be the leak that training avoids.

    Args:
        logits, targets, weights: (N,); targets: 1 = fake; weights: how many faces each row stands for.
        prior: (temperature, bias) towards which few faces are shrunk: a Gaussian of width `SPREAD` around it.

    Raises:
        ValueError: a class is missing and there is no prior.
    """
    fake = targets == 1
    faces = 2 * min(float(weights[fake].sum()), float(weights[~fake].sum()))
    if faces == 0:
        if prior is None:
            raise ValueError("both classes must occur")
        return prior
    each = faces / 2 * np.where(fake, weights / weights[fake].sum(), weights / weights[~fake].sum())
    centre = prior or (1.0, 0.0)
    strength = 0.0 if prior is None else SPREAD**-2

    def loss(point: Floats) -> tuple[float, Floats]:
        temperature = math.exp(point[0])
        scaled = (logits - point[1]) / temperature
        away = np.array([point[0] - math.log(centre[0]), (point[1] - centre[1]) / centre[0]])
        missed = each * (expit(scaled) - fake)
        slope = np.array([-(missed * scaled).sum(), -missed.sum() / temperature])
        value = float((each * np.logaddexp(0, np.where(fake, -scaled, scaled))).sum() + strength / 2 * (away @ away))
        return value, slope + strength * away / np.array([1, centre[0]])

    limit = math.log(LARGEST_TEMPERATURE)
    bounds = [(-limit, limit), (-LARGEST_BIAS, LARGEST_BIAS)]
    start = np.array([math.log(centre[0]), centre[1]])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-9})
    return math.exp(found.x[0]), float(found.x[1])


def choose_threshold(probabilities: Floats, targets: Ints, floor: float = 0.0, weights: Floats | None = None) -> float:
    """The threshold of at least `floor` with the highest balanced accuracy, faces weighing as `weights` says.

    The middle of all that come within `NEARLY_BEST` of it is steadier than the single best one.
    """
    order = np.sort(probabilities)
    middles = (order[:-1] + order[1:]) / 2
    candidates = np.sort(np.append(middles[middles > floor], floor))
    weights = np.ones(len(probabilities)) if weights is None else weights
    missed, cleared = (_share_below(probabilities, candidates, weights * (targets == target)) for target in (1, 0))
    accuracy = (1 - missed + cleared) / 2
    return float(np.median(candidates[accuracy >= accuracy.max() - NEARLY_BEST]))


def _share_below(probabilities: Floats, edges: Floats, weights: Floats) -> Floats:
    """For each edge, the share of the weight whose probability lies below it."""
    order = np.argsort(probabilities)
    summed = np.append(0.0, np.cumsum(weights[order]))
    return np.asarray(summed[np.searchsorted(probabilities[order], edges)] / summed[-1])


def _source_floor(probabilities: Floats, data: CalibrationSet, cap: float) -> float:
    """The lowest threshold at which no source of photographs has more than `cap` false alarms in a capped tier."""
    floor = 0.0
    real = data.targets == 0
    for source in np.unique(data.sources[real]):
        for tier in CAPPED_TIERS:
            scores = np.sort(probabilities[real & (data.sources == source) & (data.tiers == tier)])
            if len(scores) >= SMALLEST_SOURCE:
                highest_cleared = scores[len(scores) - 1 - math.floor(cap * len(scores))]
                floor = max(floor, float(np.nextafter(highest_cleared, 1)))
    return floor


def _band(probabilities: Floats, data: CalibrationSet, threshold: float, criteria: Criteria) -> tuple[float, float]:
    """The uncertain band, see `Criteria`; it holds the threshold."""
    if criteria.uncertain_share is not None:
        return _nearest(probabilities, threshold, criteria.uncertain_share)
    order = np.sort(probabilities)
    lows, highs = (
        np.unique(np.quantile(side, np.linspace(0, 1, BAND_STEPS))) if len(side) else np.array([threshold])
        for side in (order[order < threshold], np.nextafter(order[order >= threshold], 1))
    )
    lows, highs = np.append(lows, threshold), np.append(threshold, highs)
    real, fake = (data.weights * (data.targets == target) for target in (0, 1))
    # A face below the band is answered with real, one above it with fake.
    low_real, low_fake = (_share_below(probabilities, lows, weights)[:, None] for weights in (real, fake))
    high_real, high_fake = (1 - _share_below(probabilities, highs, weights)[None] for weights in (real, fake))
    coverage = (low_real + low_fake + high_real + high_fake) / 2
    risk = (low_fake + high_real) / 2 / np.maximum(coverage, 1e-12)
    enough = coverage >= min(criteria.min_coverage, float(coverage.max()))
    good = enough & (risk <= criteria.max_risk)
    worth = np.where(good, coverage, -np.inf) if good.any() else np.where(enough, -risk, -np.inf)
    best = np.unravel_index(int(np.argmax(worth)), worth.shape)
    return float(lows[best[0]]), float(min(highs[best[1]], 1.0))


def _nearest(probabilities: Floats, threshold: float, share: float) -> tuple[float, float]:
    """The band around the threshold that holds the nearest `share` of all faces, half of them on each side."""
    order = np.sort(probabilities)
    rank = np.searchsorted(order, threshold) / len(order)
    low, high = np.quantile(order, [max(rank - share / 2, 0), min(rank + share / 2, 1)])
    return min(float(low), threshold), max(float(high), threshold)


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
