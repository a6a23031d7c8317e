"""How good scores are, and the tables that say it. All arrays are (N,); targets: 1 = fake; scores: p_fake in [0, 1].

Sources weigh the same, large or small, as far as their size can tell: see `source_weights`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
FALSE_ALARM_RATES = (0.005, 0.01, 0.05)
ECE_BINS = 15
NORMAL_97_5 = 1.959964
HALF_WEIGHT_FACES = 10
"""Faces at which a source has half the weight of a very large one."""


def source_weights(strata: Words, targets: Ints, faces_per_row: float = 1.0, half: float = HALF_WEIGHT_FACES) -> Floats:
    """(N,) weights that sum to 1: each class one half of it, each of its n faces in a source n / (n + `half`) / n.

    That is the random-effects weight (DerSimonian and Laird 1986) where the rates of faces vary `half` times as much as
    those of sources do: large sources weigh the same, and four faces do not decide about a false-alarm rate of 1 %.

    Args:
        strata: source of each row, with its class, as "fake/omi".
        faces_per_row: below 1 where a file stands in several rows.
        half: 0: every source weighs exactly the same. Infinity: every face does.
    """
    names, member, rows = np.unique(strata, return_inverse=True, return_counts=True)
    faces = rows * faces_per_row
    share = faces if np.isinf(half) else faces / (faces + half)
    each = (share / rows)[member] if len(names) else np.zeros(0)
    totals = np.array([each[targets == target].sum() for target in (0, 1)])
    return np.asarray(each / np.where(targets == 1, totals[1], totals[0]) / np.count_nonzero(totals))


def effective_count(weights: Floats) -> float:
    """How many equally weighted faces are as sure as these (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


@dataclass(frozen=True)
class Report:
    """Metrics of one tier.

    Attributes:
        balanced_accuracy: mean of TPR and TNR of the verdicts, an uncertain one counted as half right.
        forced_choice: the same at the threshold, with no uncertain answers.
        coverage: share of the answers that are not uncertain. risk: share of these that are wrong, as many photographs
            as fakes asked about.
        tpr_at: TPR at each of `FALSE_ALARM_RATES`.
        eer: equal error rate, where as many photographs are accused as fakes are missed.
        ece: expected calibration error, 15 equal bins (Naeini et al. 2015).
    """

    faces: int
    auc: float
    ap: float
    balanced_accuracy: float
    forced_choice: float
    coverage: float
    risk: float
    tpr_at: tuple[float, ...]
    eer: float
    ece: float
    brier: float

    def named(self) -> dict[str, float]:
        """Every metric by name, without the number of faces; the TPRs as "tpr@0.5%" and so on."""
        values = asdict(self)
        del values["faces"]
        rates = zip(FALSE_ALARM_RATES, values.pop("tpr_at"), strict=True)
        return values | {f"tpr@{rate:.1%}": value for rate, value in rates}


def report(
    scores: Floats, targets: Ints, credit: Floats, forced_choice: Floats, weights: Floats | None = None
) -> Report:
    """Metrics of one set.

    Args:
        weights: of the faces, see `source_weights`; all alike without.
        credit: 1 for a right verdict, 0.5 for an uncertain one, 0 for a wrong one.
        forced_choice: 1 or 0, right or wrong at the threshold.

    Raises:
        ValueError: one of the classes is absent.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    accused, caught, _ = _counts(targets, scores, weights)
    fpr, tpr = accused / accused[-1], caught / caught[-1]
    return Report(
        faces=len(scores),
        auc=_area(fpr, tpr),
        ap=float((np.diff(tpr) * caught[1:] / (caught[1:] + accused[1:])).sum()),
        balanced_accuracy=balanced(credit, targets, weights),
        forced_choice=balanced(forced_choice, targets, weights),
        coverage=float(np.average(credit != 0.5, weights=weights)),
        risk=_risk(credit, targets, weights),
        # Sums of weights may miss a rate by a rounding error.
        tpr_at=tuple(float(tpr[fpr <= rate + 1e-12].max()) for rate in FALSE_ALARM_RATES),
        eer=equal_error_rate(fpr, tpr),
        ece=expected_calibration_error(scores, targets, weights),
        brier=float(np.average((scores - targets) ** 2, weights=weights)),
    )


def roc_curve(targets: Ints, scores: Floats, weights: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """FPR, TPR and the scores from which on a face is called fake, falling from infinity: a point for each score.

    As scikit-learn's, without its checks of every argument: a bootstrap asks for thousands of curves.

    Raises:
        ValueError: one of the classes is absent.
    """
    accused, caught, thresholds = _counts(targets, scores, weights)
    return accused / accused[-1], caught / caught[-1], thresholds


def roc_auc(targets: Ints, scores: Floats, weights: Floats | None = None) -> float:
    """Area under the ROC curve.

    Raises:
        ValueError: one of the classes is absent.
    """
    return _area(*roc_curve(targets, scores, weights)[:2])


def _counts(targets: Ints, scores: Floats, weights: Floats | None) -> tuple[Floats, Floats, Floats]:
    """The weight of the photographs and of the fakes that are called fake, and from which score on."""
    if not 0 < targets.sum() < len(targets):
        raise ValueError(f"metrics need both classes; {targets.sum()} of {len(targets)} faces are fake")
    order = np.argsort(scores)[::-1]
    falling, each = scores[order], np.ones(len(scores)) if weights is None else weights[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    fake = targets[order] == 1
    accused, caught = (np.append(0.0, np.cumsum(np.where(mine, each, 0.0))[last]) for mine in (~fake, fake))
    return accused, caught, np.append(np.inf, falling[last])


def _area(fpr: Floats, tpr: Floats) -> float:
    return float((np.diff(fpr) * (tpr[1:] + tpr[:-1])).sum() / 2)


def _risk(credit: Floats, targets: Ints, weights: Floats) -> float:
    """Of the answers, both classes asked about equally often; 0 where there are none."""
    each = weights / np.where(targets == 1, weights[targets == 1].sum(), weights[targets == 0].sum())
    answered = each * (credit != 0.5)
    return float((answered * (credit == 0)).sum() / answered.sum()) if answered.sum() else 0.0


def balanced(credit: Floats, targets: Ints, weights: Floats | None = None) -> float:
    """Mean over the two classes of the mean credit."""
    weights = np.ones(len(credit)) if weights is None else weights
    means = (np.average(credit[targets == target], weights=weights[targets == target]) for target in (0, 1))
    return float(sum(means) / 2)


def equal_error_rate(fpr: Floats, tpr: Floats) -> float:
    """Where the ROC curve, straight between its points, crosses FPR = 1 - TPR."""
    gap = fpr + tpr - 1
    after = int(np.argmax(gap >= 0))
    before = max(after - 1, 0)
    step = gap[after] - gap[before]
    share = -gap[before] / step if step > 0 else 0.0
    return float(fpr[before] + share * (fpr[after] - fpr[before]))


def tpr_at(targets: Ints, scores: Floats, max_fpr: float = 0.01, weights: Floats | None = None) -> float:
    """TPR where at most `max_fpr` of the photographs are accused."""
    fpr, tpr, _ = roc_curve(targets, scores, weights)
    return float(tpr[fpr <= max_fpr + 1e-12].max())


def expected_calibration_error(scores: Floats, targets: Ints, weights: Floats | None = None) -> float:
    """Mean over 15 equal bins of |mean p_fake - share of fakes|, weighted by the bins' sizes."""
    weights = np.ones(len(scores)) if weights is None else weights
    bins = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=weights * (scores - targets))).sum() / weights.sum())


def coverage_risk(confidence: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The error of the answers that remain when only the most confident are given (Geifman and El-Yaniv 2017).

    Args:
        confidence: in any unit. right: 1 or 0. Equal confidences share their errors evenly.

    Returns:
        coverage, risk: (N,) each, coverage rising from 1/N to 1. The mean of the risk is the AURC.
    """
    _, level, count = np.unique(confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(level, weights=1 - right) / count
    shared = np.repeat(wrong[::-1], count[::-1])
    answered = np.arange(1, len(right) + 1)
    return answered / len(right), np.cumsum(shared) / answered


@dataclass(frozen=True)
class Rate:
    """A share of `faces` with its 95 % Wilson interval."""

    name: str
    faces: int
    rate: float
    low: float
    high: float


def rate(name: str, hits: Bools) -> Rate:
    """The share of True, which must not be asked of nothing.

    Raises:
        ValueError: `hits` is empty.
    """
    if not len(hits):
        raise ValueError(f"{name}: no faces, no rate")
    return Rate(name, len(hits), float(hits.mean()), *wilson(int(hits.sum()), len(hits)))


def wilson(hits: float, count: float) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927): honest for small counts and for shares near 0 and 1."""
    share, z2 = hits / count, NORMAL_97_5**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = NORMAL_97_5 * ((share * (1 - share) + z2 / (4 * count)) / count) ** 0.5 / (1 + z2 / count)
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def clustered_draws(
    clusters: npt.NDArray[np.str_], targets: Ints, rounds: int = 500, seed: int = 0
) -> Iterator[Indices]:
    """Bootstrap samples as indices: whole clusters drawn anew within each class, so that both always occur."""
    rng = np.random.default_rng(seed)
    members = [_members(clusters, np.flatnonzero(targets == label)) for label in (0, 1)]
    for _ in range(rounds):
        drawn = [groups[i] for groups in members for i in rng.integers(0, len(groups), len(groups))]
        yield np.concatenate(drawn)


def _members(clusters: npt.NDArray[np.str_], indices: Indices) -> list[Indices]:
    """Those of `indices` that share a cluster, cluster by cluster in the order of their names."""
    order = indices[np.argsort(clusters[indices], kind="stable")]
    _, starts = np.unique(clusters[order], return_index=True)
    return np.split(order, starts[1:])


def clustered_interval(
    metric: Callable[[Ints], float], clusters: npt.NDArray[np.str_], targets: Ints, rounds: int = 500, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of `metric(indices)`, whole clusters (sources) drawn anew within each class."""
    low, high = np.quantile(
        [metric(drawn) for drawn in clustered_draws(clusters, targets, rounds, seed)], [0.025, 0.975]
    )
    return float(low), float(high)


def threshold_at(real_scores: Floats, fpr: float, weights: Floats | None = None) -> float:
    """The score that at most this share of the photographs exceeds; a higher one is called fake."""
    weights = np.ones(len(real_scores)) if weights is None else weights
    order = np.argsort(real_scores)[::-1]
    above = np.cumsum(weights[order]) / weights.sum()
    return float(real_scores[order[int(np.searchsorted(above, fpr + 1e-12, side="right"))]])


def line(cells: Iterable[object]) -> str:
    """One row. Names of sources and generators are anybody's: no cell ends early, no row does."""
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def head(names: Sequence[object]) -> tuple[str, str]:
    """The two lines that begin a table."""
    return line(names), "|" + "---|" * len(names)


def table(names: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """A whole table; empty `rows` leave its head."""
    return "\n".join([*head(names), *map(line, rows)])
