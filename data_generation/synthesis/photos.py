"""Photographs that images are made from: a square around the largest face, and where that face is.

The photograph is kept in the same square and size beside what was made of it, so that a pair differs in nothing but the
generation (Rajan et al. 2025, "Aligned datasets improve detection of latent diffusion-generated images").
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from data_generation.errors import GenerationError
from facecheck import crop, image
from facecheck.detection.detector import FaceDetector
from facecheck.errors import ImageError

Pixels = npt.NDArray[np.uint8]
MARGIN = 1.8
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Photo:
    """A photograph as a model gets it.

    Attributes:
        pixels: (S, S, 3) uint8 RGB. mask: (S, S) uint8, 255 where inpainting paints: an ellipse over the face.
    """

    pixels: Pixels
    mask: Pixels


def listed(folder: Path) -> list[Path]:
    """All pictures below a folder.

    Raises:
        GenerationError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise GenerationError(f"{folder} holds no photograph ({', '.join(sorted(SUFFIXES))})")
    return found


def prepared(path: Path, side: int, detector: FaceDetector) -> Photo | None:
    """The photograph cut around its largest face and brought to `side` pixels; None without a readable face."""
    try:
        picture = image.load(path)
    except ImageError:
        return None
    faces = detector.detect([picture])[0]
    if not len(faces):
        return None
    height, width = picture.shape[:2]
    x0, y0, x1, _ = crop.square(faces.boxes[0], width, height, MARGIN)
    return Photo(
        crop.face(picture, faces.boxes[0], side, MARGIN),
        _ellipse((faces.boxes[0] - (x0, y0) * 2) * side / (x1 - x0), side),
    )


def _ellipse(box: npt.NDArray[np.float64], side: int) -> Pixels:
    mask = np.zeros((side, side), dtype=np.uint8)
    centre, axes = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    cv2.ellipse(
        mask, tuple(centre.round().astype(int).tolist()), tuple(axes.round().astype(int).tolist()), 0, 0, 360, 255, -1
    )
    return mask
