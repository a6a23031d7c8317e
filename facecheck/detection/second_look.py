"""A second look at a picture in which no face was found: its other frames, then the picture on its side or upside down.

Photographs without an orientation tag, scans and screenshots lie on their side, and an animation may begin without a
face. What it costs is bounded: three searches for large faces in a copy of at most `SIDE` pixels a side, and one of the
picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facecheck.decoding import Picture, Pixels
from facecheck.detection.detector import Detections, FaceDetector

SIDE = 512
TURNS = (1, 3, 2)
"""Quarter turns against the clock."""
SURE, SURE_PX = 0.99, 40
"""Confidence and size of a face that was found only after turning: a wall may look like a face on its side."""
OTHER_FRAME = "No face was found in that frame; another one was judged."
TURNED = "The picture was lying on its side or upside down. It was turned before it was judged."


@dataclass(frozen=True)
class Look:
    """A view of a picture that has a face.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, as `found` counts them.
        turned: quarter turns against the clock from the picture as it lies.
        frame: index of the other frame that it is; None for the picture itself.
        problems: sentences on what is not as anybody would expect.
    """

    pixels: Pixels
    found: Detections
    turned: int = 0
    frame: int | None = None
    problems: tuple[str, ...] = ()


def second_look(detector: FaceDetector, pixels: Pixels, others: Sequence[Pixels] = ()) -> Look | None:
    """The first other frame with a face, or else the picture turned as it has one; None without any.

    Args:
        pixels: (H, W, 3) uint8 RGB, in which no face was found. others: more frames of the same file.
    """
    return _other_frame(detector, others) or _turned_view(detector, pixels)


def _other_frame(detector: FaceDetector, others: Sequence[Pixels]) -> Look | None:
    for frame, other in enumerate(others):
        (found,) = detector.detect([other])
        if len(found):
            return Look(other, found, frame=frame, problems=(OTHER_FRAME,))
    return None


def _turned_view(detector: FaceDetector, pixels: Pixels) -> Look | None:
    """The picture turned as it has a face; None if it has none in any position."""
    small = _reduced(pixels)
    scale = max(pixels.shape[:2]) / max(small.shape[:2])
    found_in = detector.for_large_faces().detect([Picture(small).view(turn, None) for turn in TURNS])
    sure = [(_surest(found, scale), turn) for found, turn in zip(found_in, TURNS, strict=True)]
    confidence, turn = max(sure, key=lambda one: one[0])
    if confidence < SURE:
        return None
    view = Picture(pixels).view(turn, None)
    (found,) = detector.detect([view])
    return Look(view, found, turned=turn, problems=(TURNED,)) if _surest(found) >= SURE else None


def _reduced(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    shrink = SIDE / max(height, width)
    if shrink >= 1:
        return pixels
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _surest(found: Detections, scale: float = 1) -> float:
    """The best confidence among faces that are large enough."""
    sizes = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1, initial=0) * scale
    return float(found.confidence[sizes > SURE_PX].max(initial=0))
