"""What a decision is fitted on: the strongest claim of every file in every delivery, and what the file is."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from training.augment import TIERS
from training.evaluation.metrics import Bools, Floats, Ints, Words, source_weights
from training.evaluation.observations import SMALL, Observations

FITTED_ON = (*TIERS, SMALL)


@dataclass(frozen=True)
class CalibrationSet:
    """Columns of (N,): a row for each file in each delivery.

    Attributes:
        logits: of the face that speaks loudest for "fake"; positive = fake.
        face_px: longer side of its box, pixels of the delivered picture.
        targets: 1 = fake.
        sources: "label/source".
        tiers: a name of `TIERS`, or `SMALL`.
    """

    logits: Floats
    face_px: Floats
    targets: Ints
    sources: Words
    groups: Words
    tiers: Words

    @classmethod
    def of(cls, observed: Observations) -> Self:
        """The set of the deliveries that `observed` has among `FITTED_ON`."""
        observed = observed.of(*FITTED_ON)
        loudest = np.array([part[np.argmax(observed.logit[part])] for part in observed.pictures], dtype=np.int64)
        rows = [observed.rows[index] for index in observed.file[loudest].tolist()]
        return cls(
            observed.logit[loudest],
            observed.face_px[loudest],
            np.array([row.target for row in rows], dtype=np.int64),
            np.array([f"{row.label}/{row.source}" for row in rows], dtype=np.str_),
            np.array([row.group for row in rows], dtype=np.str_),
            observed.delivery[loudest],
        )

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def weights(self) -> Floats:
        """(N,): sources weigh the same, see `source_weights`; a file in several deliveries is one face."""
        return source_weights(self.sources, self.targets, 1 / max(len(np.unique(self.tiers)), 1))

    def where(self, chosen: Bools | Ints) -> Self:
        """The rows that a mask or an index chooses."""
        return type(self)(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def delivered(self) -> Self:
        """The rows of the tiers that are evaluated: what thresholds are chosen on."""
        return self.where(self.tiers != SMALL)
