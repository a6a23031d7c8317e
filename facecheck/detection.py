"""MTCNN: RGB pictures -> boxes, landmarks, confidence.

The three networks and their weights are facenet-pytorch's; the cascade around them is ours, because theirs raises on
faceless, tiny, or unequal pictures. Source of the method: Zhang et al. 2016, "Joint Face Detection and Alignment Using
Multitask Cascaded Convolutional Networks".
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

PNET_CELL, PNET_STRIDE = 12, 2
RNET_SIDE, ONET_SIDE = 24, 48
PATCH_BATCH = 512


@dataclass(frozen=True)
class Detections:
    """Faces of one picture, largest first.

    Attributes:
        boxes: (N, 4) float32 xyxy, pixels; may reach a little outside the picture.
        landmarks: (N, 5, 2) float32 xy, pixels: left eye, right eye, nose, left and right corner of the mouth, as the
            viewer sees them.
        confidence: (N,) float32 in [0, 1].
    """

    boxes: Floats
    landmarks: Floats
    confidence: Floats

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class _Candidates:
    """Boxes of many pictures on their way through the cascade."""

    boxes: Tensor  # (N, 4) xyxy pixels; (N, 8) within a picture's pyramid
    scores: Tensor  # (N,)
    owner: Tensor  # (N,) index of the picture

    def pick(self, index: Tensor) -> "_Candidates":
        return _Candidates(self.boxes[index], self.scores[index], self.owner[index])

    def suppressed(self, overlap: float) -> tuple["_Candidates", Tensor]:
        """Non-maximum suppression inside each picture; also the indices that stayed."""
        keep = batched_nms(self.boxes, self.scores, self.owner, overlap)
        return self.pick(keep), keep


class _SummedArea:
    """A picture as a summed-area table (Crow 1984), from which any region is averaged to any size by four look-ups.

    The windows are those of `torch.nn.functional.interpolate(mode="area")`, which the networks' reference uses and
    whose coarseness their regressions follow: cv2's exact area filter moves some boxes by a tenth of their size.
    """

    def __init__(self, picture: Pixels) -> None:
        self.height, self.width = picture.shape[:2]
        # 32 bits overflow above 8 megapixels and wrap; differences of wrapped sums are still right.
        self._sums = cv2.integral(picture, sdepth=cv2.CV_32S)

    def resized(self, region: tuple[int, int, int, int], width: int, height: int) -> Tensor:
        """The xyxy region (inside the picture) as (3, height, width) float32, normalised as the networks expect."""
        x0, y0, x1, y1 = region
        top, bottom = _windows(y1 - y0, height)
        left, right = _windows(x1 - x0, width)
        stripes = self._sums[y0 + bottom, x0 : x1 + 1] - self._sums[y0 + top, x0 : x1 + 1]
        sums = stripes[:, right] - stripes[:, left]
        area = np.outer(bottom - top, right - left).astype(np.float32)
        mean = np.divide(sums, area[:, :, None], dtype=np.float32)
        return torch.from_numpy((mean - np.float32(127.5)) * np.float32(0.0078125)).permute(2, 0, 1)


def _windows(size: int, cells: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Start and end of the pixels that each cell averages; neighbours may share one."""
    cell = np.arange(cells)
    return cell * size // cells, -(-(cell + 1) * size // cells)


class FaceDetector:
    """MTCNN over pictures of any sizes; weights ship with facenet-pytorch, nothing is downloaded.

    Args:
        device: where the networks run.
        min_face_px: smallest face looked for, pixels.
        min_face_share: and never smaller than this share of the picture's longer side: a face of 20 pixels in a
            40-megapixel photo costs seconds to find and cannot be judged. 0 switches it off.
        thresholds: of the three networks' scores.
        factor: step of the size pyramid.
        min_confidence: faces below it are not reported.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        min_face_px: float = 20,
        min_face_share: float = 0.01,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
        min_confidence: float = 0.9,
    ) -> None:
        self.device = torch.device(device)
        self.min_face_px, self.min_face_share = min_face_px, min_face_share
        self.thresholds, self.factor, self.min_confidence = thresholds, factor, min_confidence
        self._pnet, self._rnet, self._onet = (net.eval().to(self.device) for net in _networks())

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Pixels]) -> list[Detections]:
        """Find the faces of every picture.

        Args:
            pictures: each (H, W, 3) uint8 RGB, sizes may differ.

        Returns:
            One `Detections` for each picture, in order; empty where there is no face.
        """
        smallest = [max(self.min_face_px, self.min_face_share * max(picture.shape[:2])) for picture in pictures]
        # Faces stay at least as large as the networks were made for; a 40-megapixel table would need half a gigabyte.
        shrink = [max(int(px // max(self.min_face_px, PNET_CELL)), 1) for px in smallest]
        tables = [_SummedArea(_shrunk(picture, factor)) for picture, factor in zip(pictures, shrink, strict=True)]
        candidates = self._propose(tables, [px / factor for px, factor in zip(smallest, shrink, strict=True)])
        candidates = self._refine(tables, candidates)
        return [
            _enlarged(found, factor) for found, factor in zip(self._decide(tables, candidates), shrink, strict=True)
        ]

    def _propose(self, tables: Sequence[_SummedArea], smallest: Sequence[float]) -> _Candidates:
        """Stage 1: PNet over a pyramid of each picture."""
        found = [_empty_candidates(columns=4)]
        for owner, (table, smallest_px) in enumerate(zip(tables, smallest, strict=True)):
            levels = [self._proposed_at(level, scale, owner) for scale, level in self._pyramid(table, smallest_px)]
            found.append(_merged_levels([_empty_candidates(columns=8), *levels]))
        joined = _joined(found)
        return _Candidates(_squared(joined.boxes), joined.scores, joined.owner)

    def _pyramid(self, table: _SummedArea, smallest_px: float) -> Iterator[tuple[float, Tensor]]:
        whole, scale = (0, 0, table.width, table.height), PNET_CELL / max(smallest_px, 1.0)
        while min(table.height, table.width) * scale >= PNET_CELL:
            yield scale, table.resized(whole, int(table.width * scale + 1), int(table.height * scale + 1))
            scale *= self.factor

    def _proposed_at(self, level: Tensor, scale: float, owner: int) -> _Candidates:
        """Candidates of one pyramid level; columns 4 to 7 of the boxes are PNet's regression in pixels."""
        offsets, scores = self._pnet(level[None].to(self.device))
        raw, regression = _grid_boxes(offsets[0].cpu(), scores[0, 1].cpu(), scale, self.thresholds[0], owner)
        kept, keep = raw.suppressed(0.5)
        size = (kept.boxes[:, 2:] - kept.boxes[:, :2]).repeat(1, 2)
        return _Candidates(torch.cat([kept.boxes, regression[keep] * size], dim=1), kept.scores, kept.owner)

    def _refine(self, tables: Sequence[_SummedArea], candidates: _Candidates) -> _Candidates:
        """Stage 2: RNet over all candidates of all pictures together."""
        candidates, patches = self._patches(tables, candidates, RNET_SIDE)
        if not len(patches):
            return candidates
        offsets, scores = self._run(self._rnet, patches)
        passed = scores[:, 1] > self.thresholds[1]
        survivors = _Candidates(candidates.boxes[passed], scores[passed, 1], candidates.owner[passed])
        survivors, keep = survivors.suppressed(0.7)
        return _Candidates(
            _squared(_regressed(survivors.boxes, offsets[passed][keep])), survivors.scores, survivors.owner
        )

    def _decide(self, tables: Sequence[_SummedArea], candidates: _Candidates) -> list[Detections]:
        """Stage 3: ONet gives the final boxes, landmarks and scores."""
        candidates, patches = self._patches(tables, candidates, ONET_SIDE)
        if not len(patches):
            return [_no_faces() for _ in tables]
        offsets, points, scores = self._run(self._onet, patches)
        passed = scores[:, 1] > max(self.thresholds[2], self.min_confidence)
        start, side = candidates.boxes[passed, :2], candidates.boxes[passed, 2:] - candidates.boxes[passed, :2] + 1
        landmarks = points[passed].view(-1, 2, 5).transpose(1, 2) * side[:, None] + start[:, None] - 1
        faces = _Candidates(
            _regressed(candidates.boxes[passed], offsets[passed]), scores[passed, 1], candidates.owner[passed]
        )
        return [_largest_first(faces, landmarks, faces.owner == index) for index in range(len(tables))]

    def _run(self, network: nn.Module, patches: Tensor) -> tuple[Tensor, ...]:
        batches = [network(patches[i : i + PATCH_BATCH].to(self.device)) for i in range(0, len(patches), PATCH_BATCH)]
        return tuple(torch.cat(parts).cpu() for parts in zip(*batches, strict=True))

    def _patches(self, tables: Sequence[_SummedArea], candidates: _Candidates, side: int) -> tuple[_Candidates, Tensor]:
        """The candidates that overlap their picture, and (N, 3, side, side) float32 cut at them."""
        patches, kept = [], []
        corners = candidates.boxes.trunc().long().tolist()
        for index, (owner, (x0, y0, x1, y1)) in enumerate(zip(candidates.owner.tolist(), corners, strict=True)):
            table = tables[owner]
            # The reference counts pixels from one, as MATLAB did.
            region = (max(x0, 1) - 1, max(y0, 1) - 1, min(x1, table.width), min(y1, table.height))
            if region[2] > region[0] and region[3] > region[1]:
                patches.append(table.resized(region, side, side))
                kept.append(index)
        stacked = torch.stack(patches) if patches else torch.empty(0, 3, side, side)
        return candidates.pick(torch.tensor(kept, dtype=torch.long)), stacked


def _networks() -> tuple[nn.Module, nn.Module, nn.Module]:
    with warnings.catch_warnings():  # facenet-pytorch changes the warning filters when it is imported.
        from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
    return PNet(), RNet(), ONet()


def _empty_candidates(columns: int) -> _Candidates:
    return _Candidates(torch.empty(0, columns), torch.empty(0), torch.empty(0, dtype=torch.long))


def _no_faces() -> Detections:
    return Detections(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))


def _joined(parts: Sequence[_Candidates]) -> _Candidates:
    return _Candidates(
        torch.cat([p.boxes for p in parts]), torch.cat([p.scores for p in parts]), torch.cat([p.owner for p in parts])
    )


def _shrunk(picture: Pixels, factor: int) -> Pixels:
    if factor == 1:
        return picture
    size = (max(picture.shape[1] // factor, 1), max(picture.shape[0] // factor, 1))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _enlarged(found: Detections, factor: int) -> Detections:
    return Detections(found.boxes * factor, found.landmarks * factor, found.confidence)


def _grid_boxes(
    offsets: Tensor, scores: Tensor, scale: float, threshold: float, owner: int
) -> tuple[_Candidates, Tensor]:
    """Cells of PNet's map above the threshold: their boxes in the picture, and the (N, 4) regression of each."""
    rows, columns = torch.nonzero(scores >= threshold, as_tuple=True)
    corner = torch.stack([columns, rows], dim=1).float() * PNET_STRIDE + 1
    boxes = torch.cat([corner / scale, (corner + PNET_CELL - 1) / scale], dim=1).floor()
    return _Candidates(boxes, scores[rows, columns], torch.full((len(rows),), owner)), offsets[:, rows, columns].T


def _merged_levels(levels: Sequence[_Candidates]) -> _Candidates:
    """Suppress across the pyramid, then move the boxes by their regression."""
    joined = _joined(levels)
    keep = batched_nms(joined.boxes[:, :4], joined.scores, joined.owner, 0.7)
    kept = joined.pick(keep)
    return _Candidates(kept.boxes[:, :4] + kept.boxes[:, 4:], kept.scores, kept.owner)


def _regressed(boxes: Tensor, offsets: Tensor) -> Tensor:
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)


def _squared(boxes: Tensor) -> Tensor:
    """Squares around the same centres, with the longer side."""
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return torch.cat([centre - side / 2, centre + side / 2], dim=1)


def _largest_first(faces: _Candidates, landmarks: Tensor, mine: Tensor) -> Detections:
    boxes, scores, points = faces.boxes[mine].numpy(), faces.scores[mine].numpy(), landmarks[mine].numpy()
    keep = _unnested(boxes, scores)
    boxes, scores, points = boxes[keep], scores[keep], points[keep]
    order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    return Detections(boxes[order], points[order], scores[order])


def _unnested(boxes: Floats, scores: Floats) -> list[int]:
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
