"""How good a set of scores is. All arrays are (N,); targets: 1 = fake; scores: p_fake in [0, 1]."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FALSE_ALARM_RATES = (0.005, 0.01, 0.05)
ECE_BINS = 15


@dataclass(frozen=True)
class Report:
    """Metrics of one tier.

    Attributes:
        balanced_accuracy: mean of TPR and TNR of the verdicts, an uncertain one counted as half right.
        forced: the same at the threshold, with no uncertain answers.
        coverage: share of the answers that are not uncertain.
        tpr_at: TPR at each of `FALSE_ALARM_RATES`.
        ece: expected calibration error, 15 equal bins (Naeini et al. 2015).
    """

    faces: int
    auc: float
    ap: float
    balanced_accuracy: float
    forced: float
    coverage: float
    tpr_at: tuple[float, ...]
    ece: float
    brier: float


def report(scores: Floats, targets: Ints, credit: Floats, forced: Floats) -> Report:
    """Metrics of one set.

    Args:
        credit: 1 for a right verdict, 0.5 for an uncertain one, 0 for a wrong one.
        forced: 1 or 0, right or wrong at the threshold.
    """
    false_alarms, caught, _ = roc_curve(targets, scores)
    return Report(
        faces=len(scores),
        auc=float(roc_auc_score(targets, scores)),
        ap=float(average_precision_score(targets, scores)),
        balanced_accuracy=balanced(credit, targets),
        forced=balanced(forced, targets),
        coverage=float((credit != 0.5).mean()),
        tpr_at=tuple(float(caught[false_alarms <= rate].max()) for rate in FALSE_ALARM_RATES),
        ece=expected_calibration_error(scores, targets),
        brier=float(brier_score_loss(targets, scores)),
    )


def balanced(credit: Floats, targets: Ints) -> float:
    """Mean over the two classes of the mean credit."""
    return float((credit[targets == 1].mean() + credit[targets == 0].mean()) / 2)


def expected_calibration_error(scores: Floats, targets: Ints) -> float:
    """Mean over 15 equal bins of |mean p_fake - share of fakes|, weighted by the bins' sizes."""
    bins = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(float((scores[bins == b] - targets[bins == b]).sum())) for b in range(ECE_BINS)]
    return sum(gaps) / len(scores)


def clustered_interval(
    metric: Callable[[Ints], float], clusters: npt.NDArray[np.str_], targets: Ints, rounds: int = 500, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of `metric(indices)`, whole clusters (sources) drawn anew within each class."""
    rng = np.random.default_rng(seed)
    members = [
        [np.flatnonzero((clusters == name) & (targets == label)) for name in np.unique(clusters[targets == label])]
        for label in (0, 1)
    ]
    values = []
    for _ in range(rounds):
        drawn = [groups[i] for groups in members for i in rng.integers(0, len(groups), len(groups))]
        values.append(metric(np.concatenate(drawn)))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
