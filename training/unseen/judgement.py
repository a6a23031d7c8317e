"""How well a head carries over: its rates on sources that it has not learned from, the split `world`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.calibration.crossfit import source_halves
from training.data import FaceFile
from training.evaluation.metrics import (
    Bools,
    Floats,
    Ints,
    Words,
    balanced,
    clustered_interval,
    roc_auc,
    roc_curve,
    source_weights,
    tpr_at,
)
from training.unseen.experiments import modern

WORST_OF = 10
"""Faces that a source needs to be the worst."""
ROUNDS = 200


@dataclass(frozen=True)
class Judgement:
    """Sources weigh the same, see `training.evaluation.metrics.source_weights`.

    Attributes:
        auc, low, high: with the 95 % interval of a bootstrap over sources.
        modern_auc: of the fakes of modern generators alone, against all photographs; NaN without any.
        balanced_accuracy: at the best threshold of one half of the sources, on the other half, both ways.
        tpr: at 1 % FPR.
        worst_real, accused: the source of photographs with the most false alarms at those thresholds, and their share.
        worst_fake, caught: the source of fakes that is caught least, and its share.
    """

    auc: float
    low: float
    high: float
    modern_auc: float
    balanced_accuracy: float
    tpr: float
    worst_real: str
    accused: float
    worst_fake: str
    caught: float


def judge(rows: Sequence[FaceFile], scores: Floats) -> Judgement:
    """Of the (N,) scores of rows that nothing was fitted on, higher = fake.

    Raises:
        ValueError: a class is absent, or has but one source.
    """
    targets, sources = np.array([row.target for row in rows]), np.array([f"{row.label}/{row.source}" for row in rows])
    if min(len(set(sources[targets == target])) for target in (0, 1)) < 2:
        raise ValueError("it takes two sources of each class that nothing learns from: `prepare --world SOURCE`")
    weights = source_weights(sources, targets)

    def auc(chosen: Ints) -> float:
        return roc_auc(targets[chosen], scores[chosen], weights[chosen])

    called = _called(rows, scores, targets, weights)
    recent = np.array([modern(row) for row in rows])
    low, high = clustered_interval(auc, sources, targets, ROUNDS)
    return Judgement(
        auc(np.arange(len(rows))), low, high,
        auc(np.flatnonzero(recent | (targets == 0))) if recent.any() else float("nan"),
        balanced((called == (targets == 1)).astype(np.float64), targets, weights),
        tpr_at(targets, scores, weights=weights),
        *_extreme(sources[targets == 0], called[targets == 0], highest=True),
        *_extreme(sources[targets == 1], called[targets == 1], highest=False),
    )  # fmt: skip


def weighted_auc(rows: Sequence[FaceFile], scores: Floats) -> float:
    """Area under the ROC curve, sources weighing the same; NaN where a class is absent."""
    targets, sources = np.array([row.target for row in rows]), np.array([f"{row.label}/{row.source}" for row in rows])
    if len(set(targets.tolist())) < 2:
        return float("nan")
    return roc_auc(targets, scores, source_weights(sources, targets))


def _called(rows: Sequence[FaceFile], scores: Floats, targets: Ints, weights: Floats) -> Bools:
    """(N,) whether a face is called fake at the threshold that is best on the other half of the sources."""
    halves = source_halves(rows)
    side = np.array([halves[f"{row.label}/{row.source}"] for row in rows])
    called = np.zeros(len(rows), dtype=bool)
    for half in (0, 1):
        fitted = side != half
        fpr, tpr, thresholds = roc_curve(targets[fitted], scores[fitted], weights[fitted])
        called[~fitted] = scores[~fitted] >= thresholds[int(np.argmax(tpr - fpr))]
    return called


def _extreme(sources: Words, called: Bools, highest: bool) -> tuple[str, float]:
    """The source with the highest or lowest share of faces that are called fake; small ones only where all are."""
    counts = Counter(sources.tolist())
    large = [name for name, count in counts.items() if count >= WORST_OF] or list(counts)
    shares = {name.partition("/")[2]: float(called[sources == name].mean()) for name in sorted(large)}
    name = (max if highest else min)(shares, key=lambda name: shares[name])
    return name, shares[name]
