"""Boxes on their way through a cascade of networks: non-maximum suppression, box regression, squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Boxes that may hold a face.

    Attributes:
        boxes: (N, 4) float32 xyxy, pixels.
        scores: (N,) float32 in [0, 1].
        offsets: (N, 4) float32: by how much the last network would move each corner, in sides of the box.
        owner: (N,) index of the picture.
    """

    boxes: Floats
    scores: Floats
    offsets: Floats
    owner: Indices

    @classmethod
    def empty(cls) -> Self:
        """Of nothing."""
        return cls(
            np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 4), np.float32), np.empty(0, np.int64)
        )

    @classmethod
    def concatenated(cls, parts: "Sequence[Candidates]") -> Self:
        """All of several, in order."""
        columns = ("boxes", "scores", "offsets", "owner")
        return cls(*(np.concatenate([getattr(part, column) for part in parts]) for column in columns))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: npt.NDArray[np.bool_] | Indices) -> Self:
        return type(self)(self.boxes[index], self.scores[index], self.offsets[index], self.owner[index])

    def nms(self, overlap: float, groups: Indices | None = None) -> Self:
        """Greedy non-maximum suppression by intersection over union, best scores first.

        Args:
            overlap: of two boxes that overlap by more than this the worse goes.
            groups: (N,) never compares boxes whose numbers differ; None: those of different pictures.
        """
        if not len(self):
            return self
        xywh = np.hstack([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]]).astype(np.float64)
        numbers = (self.owner if groups is None else groups).astype(np.int32)
        kept = cv2.dnn.NMSBoxesBatched(xywh, self.scores, numbers, 0.0, overlap)  # type: ignore[arg-type]
        return self[np.asarray(kept, np.int64)]

    def top(self, most: int, groups: Indices | None = None) -> Indices:
        """Which are the `most` best of each group, as in `nms`; the best first."""
        order: Indices = np.argsort(-self.scores, kind="stable")
        if len(self) <= most:
            return order
        numbers = (self.owner if groups is None else groups)[order]
        within = np.concatenate([np.flatnonzero(numbers == group)[:most] for group in np.unique(numbers)])
        kept: Indices = order[np.sort(within)]
        return kept

    def regressed(self, reach: float = 1) -> Floats:
        """The boxes after their own offsets; `reach` is added to their sides first, as MATLAB counted pixels."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2] + np.float32(reach)
        return self.boxes + self.offsets * np.tile(sides, 2)


def squared(boxes: Floats) -> Floats:
    """Squares around the same centres, with the longer side; (N, 4) xyxy."""
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)[:, None]
    return np.hstack([centre - side / 2, centre + side / 2])


def largest_first(boxes: Floats) -> Indices:
    """The order of boxes (N, 4) by area."""
    return np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")


def nms_over_smaller(boxes: Floats, scores: Floats) -> list[int]:
    """Suppression by the overlap over the smaller box, so that a face inside a face goes; best scores stay."""
    kept: list[int] = []
    area = np.prod(boxes[:, 2:] - boxes[:, :2] + 1, axis=1)
    # Scores tie at 1 - 1e-7; the reference then takes the later box.
    for index in np.argsort(scores, kind="stable")[::-1]:
        start, end = np.maximum(boxes[kept, :2], boxes[index, :2]), np.minimum(boxes[kept, 2:], boxes[index, 2:])
        shared = np.prod(np.maximum(end - start + 1, 0), axis=1)
        if not np.any(shared / np.minimum(area[kept], area[index]) > 0.7):
            kept.append(int(index))
    return kept
