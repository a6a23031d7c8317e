"""Ways of losing evidence, one at a time and to a known degree: for measuring limits and robustness curves.

Each takes (H, W, 3) uint8 RGB, the xyxy box of the face in pixels, a level and a source of chance, and returns the
damaged picture and the box in its pixels.
"""

from collections.abc import Callable

import cv2
import numpy as np

from training.augment import Box, Picture, cut, recompress, reduced

Damage = Callable[[Picture, Box, float, np.random.Generator], tuple[Picture, Box]]


def shrunk(image: Picture, box: Box, face_px: float, _: np.random.Generator) -> tuple[Picture, Box]:
    """The face brought down to at most `face_px` pixels."""
    return reduced(image, box, face_px)


def blurred(image: Picture, box: Box, sigma: float, _: np.random.Generator) -> tuple[Picture, Box]:
    """Gaussian blur, sigma in pixels of the file."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8), box


def compressed(image: Picture, box: Box, jpeg_quality: float, _: np.random.Generator) -> tuple[Picture, Box]:
    """Saved once more as JPEG."""
    return recompress(image, int(jpeg_quality)), box


def noisy(image: Picture, box: Box, sigma: float, rng: np.random.Generator) -> tuple[Picture, Box]:
    """White Gaussian noise on every channel, sigma in grey levels."""
    return np.clip(np.rint(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8), box


def cut_off(image: Picture, box: Box, share: float, rng: np.random.Generator) -> tuple[Picture, Box]:
    """A side of the picture, drawn by chance, takes `share` of the face's width or height away."""
    return cut(image, box, share, int(rng.integers(4)))
