"""Can a classifier tell real from fake by traces alone? Cross-validated by group, with an interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import roc_auc
from training.faces.traces import Traces

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Folds = list[tuple[Ints, Ints]]
FOLDS = 5
BINS = 12
RESAMPLES = 200


@dataclass(frozen=True)
class Leak:
    """How well one set of traces separates the classes. AUC 0.5 = not at all.

    Attributes:
        faces: how many were looked at.
        interval: 95 % of the bootstrap over groups.
        features: (name, AUC of a classifier that sees this feature only), worst first.
    """

    faces: int
    auc: float
    interval: tuple[float, float]
    features: tuple[tuple[str, float], ...]

    def worst(self, count: int = 3) -> str:
        """The features that leak most, for a message."""
        return ", ".join(f"{name} (AUC {auc:.2f})" for name, auc in self.features[:count])


def measure(traces: Sequence[Traces], targets: Sequence[int], groups: Sequence[str], seed: int = 0) -> Leak:
    """Separate the classes by traces, never with a group on both sides.

    Args:
        traces: N dicts with the same keys; targets: N, 1 = fake; groups: N names.

    Raises:
        ValueError: a class has fewer groups than there are folds, so nothing can be cross-validated.
    """
    names = list(traces[0]) if traces else []
    table = np.array([[trace[name] for name in names] for trace in traces], dtype=np.float64)
    truth, owners = np.asarray(targets, dtype=np.int64), np.unique(list(groups), return_inverse=True)[1]
    for value, label in ((0, "real"), (1, "fake")):
        if (count := len(np.unique(owners[truth == value]))) < FOLDS:
            raise ValueError(f"{count} groups of {label} faces are too few to audit; {FOLDS} are the minimum")
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = list(splitter.split(table, truth, owners))
    scores = _out_of_fold(table, truth, folds, seed)
    singles = [(name, roc_auc(truth, _alone(table[:, i], truth, folds))) for i, name in enumerate(names)]
    features = tuple(sorted(singles, key=lambda single: -single[1]))
    return Leak(len(truth), roc_auc(truth, scores), _bootstrap(scores, truth, owners, seed), features)


def _out_of_fold(table: Floats, truth: Ints, folds: Folds, seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier

    known = np.where(np.isnan(table), -np.inf, table)
    varying = (known != known[:1]).any(axis=0)
    scores = np.full(len(truth), 0.5)
    if varying.any():
        for train, test in folds:
            model = HistGradientBoostingClassifier(
                max_iter=40, max_leaf_nodes=8, min_samples_leaf=10, l2_regularization=1.0, random_state=seed
            )
            model.fit(table[train][:, varying], truth[train])
            scores[test] = model.predict_proba(table[test][:, varying])[:, 1]
    return scores


def _alone(values: Floats, truth: Ints, folds: Folds) -> Floats:
    """Out-of-fold share of fakes in the bin of a value, which finds leaks that are not monotone too."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else known
    # The last bin is for what is not known.
    bins = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
    scores = np.empty(len(truth))
    for train, test in folds:
        fakes = np.bincount(bins[train], truth[train], minlength=len(edges) + 2)
        counts = np.bincount(bins[train], minlength=len(edges) + 2)
        scores[test] = ((fakes + truth[train].mean()) / (counts + 1))[bins[test]]
    return scores


def _bootstrap(scores: Floats, truth: Ints, owners: Ints, seed: int) -> tuple[float, float]:
    rng, members = np.random.default_rng(seed), [np.flatnonzero(owners == owner) for owner in np.unique(owners)]
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if 0 < truth[drawn].sum() < len(drawn):
            values.append(roc_auc(truth[drawn], scores[drawn]))
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
