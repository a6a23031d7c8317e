"""Delivery stability: the crop of a face is saved and resized again in a few ways, and scored each time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facecheck import crop
from facecheck.error_rates import Stability
from facecheck.model.config import ModelConfig

Pixels = npt.NDArray[np.uint8]
LARGEST_SIDE = 448


@dataclass(frozen=True)
class Delivery:
    """One way in which a picture travels: reduced to `scale` of its side, then saved as JPEG."""

    scale: float
    jpeg_quality: int

    @property
    def name(self) -> str:
        """What people read."""
        size = f"{self.scale:.0%} of the size, " if self.scale < 1 else ""
        return f"{size}JPEG quality {self.jpeg_quality}"


DELIVERIES = (Delivery(1.0, 75), Delivery(1.0, 45), Delivery(0.5, 75))
"""What websites and messengers do; few, because each costs one more look at the face."""


def stabilities(
    places: Sequence[tuple[Pixels, npt.NDArray[np.float32]]],
    scores: Sequence[float],
    score: Callable[..., npt.NDArray[np.float64]],
    config: ModelConfig,
    threshold: float,
) -> list[Stability]:
    """How the score of each face moves, all faces after every delivery scored in one batch.

    Args:
        places: picture (H, W, 3) uint8 RGB and box (4,) xyxy of each face. scores: p_fake of each as given.
        score: `FaceChecker.p_fake`, or something like it. threshold: p_fake from which a face is called fake.
    """
    if not places:
        return []
    copies = [delivered(picture, box, config.input_size, config.crop_margin) for picture, box in places]
    face_px = [float(max(box[2:] - box[:2])) * way.scale for _, box in places for way in DELIVERIES]
    after = score(np.concatenate(copies), face_px=face_px).reshape(len(places), -1).tolist()
    names = tuple(way.name for way in DELIVERIES)
    found = []
    for own, moved in zip(scores, after, strict=True):
        sides = {each >= threshold for each in (own, *moved)}
        found.append(Stability(tuple(moved), names, min(own, *moved), max(own, *moved), flips=len(sides) > 1))
    return found


def delivered(picture: Pixels, box: npt.ArrayLike, size: int, margin: float) -> Pixels:
    """The classifier's input for a face as it looks after each of `DELIVERIES`.

    Args:
        picture: (H, W, 3) uint8 RGB. box: (4,) xyxy, pixels. size, margin: as in `facecheck.crop.face`.

    Returns:
        (len(DELIVERIES), size, size, 3) uint8 RGB.
    """
    x0, _, x1, _ = crop.square(box, picture.shape[1], picture.shape[0], margin)
    patch = crop.face(picture, box, int(np.clip(round(x1 - x0), 1, LARGEST_SIDE)), margin)
    return np.stack([_cut_again(_sent(patch, way), size) for way in DELIVERIES])


def _sent(patch: Pixels, way: Delivery) -> Pixels:
    side = max(round(patch.shape[0] * way.scale), 1)
    small = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA) if way.scale < 1 else patch
    _, coded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, way.jpeg_quality])
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"cannot reopen a face of shape {small.shape}")
    return np.ascontiguousarray(decoded[:, :, ::-1], dtype=np.uint8)


def _cut_again(patch: Pixels, size: int) -> Pixels:
    side = patch.shape[0]
    return crop.face(patch, (0, 0, side, side), size, margin=1.0)
