"""A linear classifier on frozen features: what a backbone knows already, read off in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from training.backbones.extractor import Features
from training.data import FaceFile, sampling_weights
from training.evaluation.metrics import Bools, Floats, Ints

CLIP = 6.0
STRENGTH = 0.002
"""Inverse of the L2 penalty, for standardised features."""
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """Logistic regression on standardised, clipped features.

    Attributes:
        mean, scale, coefficients: (D,).
    """

    mean: Singles
    scale: Singles
    coefficients: Singles
    intercept: float

    @classmethod
    def fit(cls, features: Features, targets: Ints, weights: Floats, strength: float = STRENGTH) -> "Head":
        """Fit to (N, D) features of (N,) targets; of the (N,) weights only the ratios count."""
        mean, scale = _scaling(features)
        regression = LogisticRegression(C=strength, max_iter=200)
        regression.fit(_standardised(features, mean, scale), targets, sample_weight=weights / weights.mean())
        return cls(mean, scale, regression.coef_[0].astype(np.float32), float(regression.intercept_[0]))

    def logits(self, features: Features) -> Floats:
        """(N,), positive = fake."""
        scaled = _standardised(features, self.mean, self.scale)
        return np.asarray(scaled @ self.coefficients + self.intercept, dtype=np.float64)


def _scaling(features: Features) -> tuple[Singles, Singles]:
    """Mean and standard deviation of each column; 1 where a column never changes."""
    mean = features.mean(axis=0, dtype=np.float32)
    deviation = np.sqrt(np.mean((features - mean) ** 2, axis=0, dtype=np.float32))
    return mean, np.where(deviation > 0, deviation, np.float32(1))


def _standardised(features: Features, mean: Singles, scale: Singles) -> Singles:
    return np.asarray(np.clip((features - mean) / scale, -CLIP, CLIP), dtype=np.float32)


class LinearProbe:
    """A head that is fitted anew for every question, every view of a training face an example.

    Args:
        views: (V, N, D) features of all rows as training sees them.
        arrived: (N, D) features of all rows as they arrive.
        pseudo: (N, D) features of all rows as pseudo-fakes; those of photographs are learned as fakes, and weigh
            `pseudo_share` of what the real fakes weigh.
        strength: inverse of the L2 penalty, for standardised features.
    """

    def __init__(
        self, rows: Sequence[FaceFile], views: Sequence[Features], arrived: Features, pseudo: Features | None = None,
        pseudo_share: float = 0.2, strength: float = STRENGTH,
    ) -> None:  # fmt: skip
        self.rows, self.views, self.arrived, self.strength = list(rows), views, arrived, strength
        self.pseudo, self.pseudo_share = pseudo, pseudo_share

    def __call__(self, train: Bools, test: Bools) -> Floats:
        """Fit on the rows of `train`, score those of `test`."""
        learned = [row for row, is_in in zip(self.rows, train, strict=True) if is_in]
        examples = Examples.of(learned, sampling_weights(learned), [view[train] for view in self.views])
        if self.pseudo is not None:
            photographs = np.array([row.target == 0 for row in learned])
            examples = examples.with_copies(self.pseudo[train][photographs], self.pseudo_share)
        return examples.head(self.strength).logits(self.arrived[test])


@dataclass(frozen=True)
class Examples:
    """What a head learns from.

    Attributes:
        features: (N, D). targets, weights: (N,).
    """

    features: Features
    targets: Ints
    weights: Floats

    @classmethod
    def of(cls, rows: Sequence[FaceFile], weights: Floats, views: Sequence[Features]) -> "Examples":
        """Every row in each of the views, (len(rows), D) each."""
        targets = np.array([row.target for row in rows])
        return cls(np.concatenate(views), np.tile(targets, len(views)), np.tile(weights, len(views)) / len(views))

    def with_copies(self, features: Features, share: float) -> "Examples":
        """And pseudo-fakes, which weigh `share` of what the fakes weigh."""
        each = self.weights[self.targets == 1].sum() * share / len(features)
        return Examples(
            np.concatenate([self.features, features]),
            np.concatenate([self.targets, np.ones(len(features), dtype=self.targets.dtype)]),
            np.concatenate([self.weights, np.full(len(features), each)]),
        )

    def head(self, strength: float = STRENGTH) -> Head:
        """The head that is fitted to them."""
        return Head.fit(self.features, self.targets, self.weights, strength)
