"""MTCNN: RGB pictures -> boxes, landmarks, confidence.

The three networks and their weights are facenet-pytorch's; the cascade around them is ours, because theirs raises on
faceless, tiny, or unequal pictures, and is slow. Source of the method: Zhang et al. 2016, "Joint Face Detection and
Alignment Using Multitask Cascaded Convolutional Networks".
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from facecheck.batching import area, batches
from facecheck.detection.candidates import Candidates, largest_first, nms_over_smaller, squared
from facecheck.detection.networks import CANVAS, Networks, open_networks
from facecheck.detection.pyramid import PNET_CELL, Plan, SummedArea, Tile, View, canvases_of, cells_of, laid_out

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

RNET_SIDE, ONET_SIDE = 24, 48
PATCH_BATCH = 256
CELLS_KEPT, CANDIDATES_KEPT = 1000, 1000
"""The best of a level, and of a picture: noise and foliage would propose without end."""
GROUP_PIXELS = 4_000_000
"""Pictures are searched together up to here: more would gain no time and take memory."""


@dataclass(frozen=True)
class Detections:
    """Faces of one picture, largest first.

    Attributes:
        boxes: (N, 4) float32 xyxy, pixels; may reach a little outside the picture.
        landmarks: (N, 5, 2) float32 xy, pixels: left eye, right eye, nose, left and right corner of the mouth, as the
            viewer sees them.
        confidence: (N,) float32 in [0, 1].

    Raises:
        ValueError: another shape or another dtype.
    """

    boxes: Floats
    landmarks: Floats
    confidence: Floats

    def __post_init__(self) -> None:
        shapes = {"boxes": (len(self.boxes), 4), "landmarks": (len(self.boxes), 5, 2), "confidence": (len(self.boxes),)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or values.dtype != np.float32:
                raise ValueError(f"{name} are {values.dtype} {values.shape}; they must be float32 {shape}")

    @classmethod
    def empty(cls) -> Self:
        """Of a picture without a face."""
        return cls(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))

    @classmethod
    def at(cls, boxes: npt.ArrayLike) -> Self:
        """Faces whose places are known already, (N, 4) or (4,) xyxy, pixels; no landmarks, and nobody's confidence."""
        known = np.asarray(boxes, np.float32).reshape(-1, 4)
        return cls(known, np.zeros((len(known), 5, 2), np.float32), np.zeros(len(known), np.float32))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: slice) -> Self:
        return type(self)(self.boxes[index], self.landmarks[index], self.confidence[index])


class FaceDetector:
    """MTCNN over pictures of any sizes. Safe to use from several threads at once.

    Args:
        device: where the networks run: "auto", "cpu", "cuda", ...
        min_face_px: smallest face looked for, pixels.
        min_face_share: and never smaller than this share of the picture's longer side: a face of 20 pixels in a
            40-megapixel photo costs seconds to find and cannot be judged. 0 switches it off.
        first_px, first_share: faces from this size on, or this share of the picture's longer side if that is more, are
            looked for first, which takes a quarter of the time or less. Smaller ones are only looked for where no face
            of twice this size was found: every face of at least half the size of the largest is found in any case.
            0 as `first_px`: all in one search.
        thresholds: of the three networks' scores.
        factor: step of the size pyramid.
        min_confidence: faces below it are not reported.
        engine: "auto", "torch" or "openvino".
        networks: those of another detector, in place of `device` and `engine`.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        min_face_px: float = 20,
        min_face_share: float = 0.01,
        first_px: float = 40,
        first_share: float = 0.025,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
        min_confidence: float = 0.9,
        engine: str = "auto",
        networks: Networks | None = None,
    ) -> None:
        self.min_face_px, self.min_face_share = min_face_px, min_face_share
        self.first_px, self.first_share = first_px, first_share
        self.thresholds, self.factor, self.min_confidence = thresholds, factor, min_confidence
        self.networks = networks or open_networks(engine, device)

    def detect(self, pictures: Sequence[Pixels]) -> list[Detections]:
        """Find the faces of every picture.

        Args:
            pictures: each (H, W, 3) uint8 RGB, sizes may differ.

        Returns:
            One `Detections` for each picture, in order; empty where there is no face.
        """
        groups = batches(pictures, area, limit=GROUP_PIXELS)
        return [found for group in groups for found in self._detect_together(group)]

    def for_workers(self) -> Self:
        """The same for several threads at once: each gets one processor, none waits for another."""
        other = copy.copy(self)
        other.networks = self.networks.for_workers()
        return other

    def for_large_faces(self) -> Self:
        """The same without the search for faces below `first_px`, which takes most of the time where there is none."""
        other = copy.copy(self)
        other.min_face_px = max(self.first_px, self.min_face_px)
        other.min_face_share, other.first_px = max(self.first_share, self.min_face_share), 0
        return other

    def _detect_together(self, pictures: Sequence[Pixels]) -> list[Detections]:
        plans = [self._plans(max(picture.shape[:2])) for picture in pictures]
        views = [View.of(picture, first) for picture, (first, _) in zip(pictures, plans, strict=True)]
        found = self._search(views)
        again = [
            index
            for index, (first, last) in enumerate(plans)
            if first != last and _longest_side(found[index]) < 2 * first.face_px
        ]
        if again:
            closer = self._search([views[index].closer(pictures[index], plans[index][1]) for index in again])
            for index, faces in zip(again, closer, strict=True):
                found[index] = faces
        return found

    def _plans(self, side: int) -> tuple[Plan, Plan]:
        """The first search in a picture whose longer side is given, and the last, for the smallest faces."""
        px, least = max(self.min_face_px, self.min_face_share * side, 1.0), max(self.min_face_px, PNET_CELL)
        last = Plan(px, PNET_CELL / px, max(int(px // least), 1))
        first_px = max(self.first_px, self.first_share * side)
        # A level finds faces from the middle (geometrically) between its size and that of the finer level on.
        scale, step = last.scale, self.factor
        while self.first_px and PNET_CELL / (scale * step) * step**0.5 <= first_px:
            scale *= step
        first = last if scale == last.scale else Plan(first_px, scale, max(int(first_px // self.first_px), 1))
        return first, last

    def _search(self, views: Sequence[View]) -> list[Detections]:
        """One run of the cascade."""
        tables = [view.table for view in views]
        candidates = self._refine(tables, self._propose(views))
        found = self._decide(tables, candidates)
        return [_enlarged(faces, view.plan.shrink) for faces, view in zip(found, views, strict=True)]

    def _propose(self, views: Sequence[View]) -> Candidates:
        """Stage 1: the cells of all levels, those of earlier searches too."""
        tiles = [tile for owner, view in enumerate(views) for tile in view.tiles(owner, self.factor)]
        cells = self._cells([view.table for view in views], tiles)
        for owner, view in enumerate(views):
            both = Candidates.concatenated([cells[cells.owner == owner], view.cells])
            view.cells = replace(both, owner=np.full(len(both), owner))
        merged = Candidates.concatenated([view.cells for view in views]).nms(0.7)
        merged = merged[merged.top(CANDIDATES_KEPT)]
        return replace(merged, boxes=squared(merged.regressed(reach=0)))

    def _cells(self, tables: Sequence[SummedArea], tiles: Sequence[Tile]) -> Candidates:
        """PNet over tiles of all pictures, side by side on canvases, and the best of each level."""
        places = laid_out([(tile.height, tile.width) for tile in tiles], *CANVAS)
        tiles = [replace(t, canvas=at, top=top, left=left) for t, (at, top, left) in zip(tiles, places, strict=True)]
        offsets, scores = self.networks.pnet(canvases_of(tables, tiles))
        cells, tile_of = cells_of(tiles, offsets, scores, self.thresholds[0])
        levels = {key: index for index, key in enumerate(dict.fromkeys((t.owner, t.scale) for t in tiles))}
        level_of = np.array([levels[tile.owner, tile.scale] for tile in tiles], np.int64)[tile_of]
        best = cells.top(CELLS_KEPT, level_of)
        return cells[best].nms(0.5, level_of[best])

    def _refine(self, tables: Sequence[SummedArea], candidates: Candidates) -> Candidates:
        """Stage 2: RNet over all candidates of all pictures together."""
        candidates, patches = _cut(tables, candidates, RNET_SIDE)
        if not len(patches):
            return candidates
        offsets, scores = _in_batches(self.networks.rnet, patches)
        passed = scores > self.thresholds[1]
        survivors = replace(candidates, scores=scores, offsets=offsets)[passed].nms(0.7)
        return replace(survivors, boxes=squared(survivors.regressed()))

    def _decide(self, tables: Sequence[SummedArea], candidates: Candidates) -> list[Detections]:
        """Stage 3: ONet gives the final boxes, landmarks and scores."""
        candidates, patches = _cut(tables, candidates, ONET_SIDE)
        if not len(patches):
            return [Detections.empty() for _ in tables]
        offsets, scores, points = _in_batches(self.networks.onet, patches)
        passed = scores > max(self.thresholds[2], self.min_confidence)
        faces = replace(candidates, scores=scores, offsets=offsets)[passed]
        start, side = faces.boxes[:, None, :2], (faces.boxes[:, 2:] - faces.boxes[:, :2] + 1)[:, None]
        landmarks = points[passed] * side + start - 1
        return [_largest_first(faces, landmarks, np.flatnonzero(faces.owner == index)) for index in range(len(tables))]


def _enlarged(found: Detections, factor: int) -> Detections:
    return Detections(found.boxes * factor, found.landmarks * factor, found.confidence)


def _longest_side(found: Detections) -> float:
    return float((found.boxes[:, 2:] - found.boxes[:, :2]).max(initial=0))


def _cut(tables: Sequence[SummedArea], candidates: Candidates, side: int) -> tuple[Candidates, Floats]:
    """The candidates that overlap their picture, sorted by picture, and (N, side, side, 3) cut at them."""
    candidates = candidates[np.argsort(candidates.owner, kind="stable")]
    # The reference counts pixels from one, as MATLAB did.
    regions = candidates.boxes.astype(np.int64)
    regions[:, :2] = np.maximum(regions[:, :2], 1) - 1
    sizes = np.array([(table.width, table.height) for table in tables], np.int64).reshape(-1, 2)
    regions[:, 2:] = np.minimum(regions[:, 2:], sizes[candidates.owner])
    inside = np.flatnonzero((regions[:, 2:] > regions[:, :2]).all(axis=1))
    candidates, regions = candidates[inside], regions[inside]
    of_each = np.split(regions, np.searchsorted(candidates.owner, np.arange(1, len(tables))))
    patches = [table.patches(own, side) for table, own in zip(tables, of_each, strict=True)]
    return candidates, patches[0] if len(patches) == 1 else np.concatenate(patches)


def _in_batches(network: Callable[[Floats], tuple[Floats, ...]], patches: Floats) -> tuple[Floats, ...]:
    batches = [network(patches[start : start + PATCH_BATCH]) for start in range(0, len(patches), PATCH_BATCH)]
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def _largest_first(faces: Candidates, landmarks: Floats, mine: Indices) -> Detections:
    boxes, scores, points = faces.regressed()[mine], faces.scores[mine], landmarks[mine]
    keep = np.array(nms_over_smaller(boxes, scores), np.int64)
    keep = keep[largest_first(boxes[keep])]
    return Detections(boxes[keep], points[keep], scores[keep])
