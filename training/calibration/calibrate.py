"""Choose the decision of a model on validation data only: temperature and bias by size, threshold, band, budgets.

The method with its sources: docs/calibration.md.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold

from facecheck import calibration
from facecheck.model.config import Decision, Knot
from training.calibration.budgets import measure_budgets
from training.calibration.validation import Validation
from training.evaluation.metrics import Floats, Ints

KNOTS_PX = (32.0, 64.0, 128.0, 256.0)
SPREAD = 0.3
"""How far temperature (in log) and bias (in temperatures) are expected to differ between face sizes."""
LARGEST_TEMPERATURE, LARGEST_BIAS = 20.0, 20.0
NEARLY_BEST = 0.001
CAPPED_TIERS = ("clean", "web")
SMALLEST_SOURCE = 20
FOLDS = 5
BUDGETS = (0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True)
class Criteria:
    """What is asked of a decision.

    Attributes:
        doubtful: share of all faces, the ones nearest to the threshold, that are answered with `uncertain`.
        source_cap: highest false-alarm rate on any single source of photographs with at least `SMALLEST_SOURCE` files,
            in each of `CAPPED_TIERS`. None: only the balanced accuracy counts.
        max_fpr: ship the threshold of this budget. None: the one with the highest balanced accuracy under the cap.
        budgets: false-alarm rates whose thresholds are stored for the user to choose from.
    """

    doubtful: float = 0.02
    source_cap: float | None = None
    max_fpr: float | None = None
    budgets: tuple[float, ...] = BUDGETS

    def __post_init__(self) -> None:
        if self.source_cap is not None and self.max_fpr is not None:
            raise ValueError("a cap on every source and a budget each choose the threshold; ask for one of them")
        rates = [rate for rate in (self.source_cap, self.max_fpr, *self.budgets) if rate is not None]
        if not all(0 < rate < 1 for rate in rates) or not 0 <= self.doubtful < 1:
            raise ValueError(f"{self} must have rates in (0, 1) and doubtful in [0, 1)")


def fit_decision(data: Validation, criteria: Criteria) -> Decision:
    """The decision for a model, from its logits on validation faces; thresholds look at the evaluated tiers only.

    Raises:
        ValueError: a class is missing, or too few photographs for the budget `criteria.max_fpr`.
    """
    scaling, delivered = fit_scaling(data), data.delivered()
    probabilities = calibration.p_fake(delivered.logits, scaling, delivered.face_px)
    rates = sorted({*criteria.budgets, *((criteria.max_fpr,) if criteria.max_fpr is not None else ())})
    scaling = replace(scaling, budgets=measure_budgets(probabilities, delivered, rates))
    if criteria.max_fpr is not None:
        kept = [budget for budget in scaling.budgets if budget.max_fpr == criteria.max_fpr]
        if not kept:
            raise ValueError(f"too few photographs to choose a threshold for a false-alarm rate of {criteria.max_fpr}")
        threshold = kept[0].threshold
    else:
        floor = 0.0 if criteria.source_cap is None else _source_floor(probabilities, delivered, criteria.source_cap)
        threshold = choose_threshold(probabilities, delivered.targets, floor)
    low, high = _nearest(probabilities, threshold, criteria.doubtful)
    return replace(scaling, threshold=threshold, uncertain_from=low, uncertain_to=high)


def fit_scaling(data: Validation) -> Decision:
    """Temperature and bias, pooled and by face size; the rest of the decision is left neutral.

    Each knot is a fit of its own in which a face counts by its nearness to the knot in log size (local likelihood:
    Tibshirani and Hastie 1987), drawn towards the pooled fit (see `fit_scale`), which it equals where a class has no
    faces.
    """
    # A file that is scored in several tiers is one face's worth of evidence.
    share = np.full(len(data), 1 / len(np.unique(data.tiers)))
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


def choose_threshold(probabilities: Floats, targets: Ints, floor: float = 0.0) -> float:
    """The threshold of at least `floor` with the highest balanced accuracy.

    The middle of all that come within `NEARLY_BEST` of it is steadier than the single best one.
    """
    fake, order = targets == 1, np.sort(probabilities)
    middles = (order[:-1] + order[1:]) / 2
    candidates = np.sort(np.append(middles[middles > floor], floor))
    caught = 1 - np.searchsorted(np.sort(probabilities[fake]), candidates) / fake.sum()
    cleared = np.searchsorted(np.sort(probabilities[~fake]), candidates) / (~fake).sum()
    accuracy = (caught + cleared) / 2
    return float(np.median(candidates[accuracy >= accuracy.max() - NEARLY_BEST]))


def _source_floor(probabilities: Floats, data: Validation, cap: float) -> float:
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


def _nearest(probabilities: Floats, threshold: float, share: float) -> tuple[float, float]:
    """The band around the threshold that holds the nearest `share` of all faces, half of them on each side."""
    order = np.sort(probabilities)
    rank = np.searchsorted(order, threshold) / len(order)
    low, high = np.quantile(order, [max(rank - share / 2, 0), min(rank + share / 2, 1)])
    return min(float(low), threshold), max(float(high), threshold)


def crossfitted(data: Validation) -> Floats:
    """(N,) p_fake with every face scaled by a fit on other groups only: what the calibration is worth on new faces.

    NaN where a class has fewer than two groups.
    """
    probabilities = np.full(len(data), np.nan)
    folds = min(FOLDS, *(len(np.unique(data.groups[data.targets == target])) for target in (0, 1)))
    if folds >= 2:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
        for others, fold in splitter.split(data.logits, data.targets, data.groups):
            part, scaling = data.where(fold), fit_scaling(data.where(others))
            probabilities[fold] = calibration.p_fake(part.logits, scaling, part.face_px)
    return probabilities
