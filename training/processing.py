"""What is done to photographs that stay photographs: by the phone that takes them, by an app, on the way to print.

The training delivery draws some of it for both classes alike; `PROCESSES` is all of it, for measuring how often a
processed photograph is called generated (`python -m training processed`).
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Box = npt.NDArray[np.float64]
Process = Callable[[Picture, Box, np.random.Generator], Picture]
"""(H, W, 3) uint8 RGB, the xyxy box of the face in pixels, chance -> the processed picture, of the same shape."""


def smoothed(image: Picture, rng: np.random.Generator) -> Picture:
    """Skin without pores: an edge-preserving filter, now and then only half of it, as retouching apps mix it."""
    smooth = cv2.bilateralFilter(image, int(rng.choice((5, 7, 9))), rng.uniform(10, 55), rng.uniform(2, 6))
    share = rng.uniform(0.4, 1.0)
    return cv2.addWeighted(image, 1 - share, smooth, share, 0).astype(np.uint8)


def tone_mapped(image: Picture, rng: np.random.Generator) -> Picture:
    """Local contrast, in lightness only."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    tiles = int(rng.integers(2, 6))
    lab[:, :, 0] = cv2.createCLAHE(rng.uniform(1.0, 3.0), (tiles, tiles)).apply(lab[:, :, 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(np.uint8)


def portrait_blurred(image: Picture, box: Box, rng: np.random.Generator) -> Picture:
    """A soft background behind a sharp face, as the portrait mode of phones computes it."""
    side = float(max(box[2:] - box[:2]))
    wide, tall = rng.uniform(0.55, 0.75), rng.uniform(0.7, 0.95)
    mask = _around_face(image, box, wide, tall, side * rng.uniform(0.03, 0.1))
    soft = cv2.GaussianBlur(image, (0, 0), side * rng.uniform(0.015, 0.06))
    return np.asarray(image * mask + soft * (1 - mask), dtype=np.uint8)


def sharpened(image: Picture, rng: np.random.Generator) -> Picture:
    """The unsharp mask of phone cameras and photo editors."""
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.0))
    amount = rng.uniform(0.3, 1.2)
    return cv2.addWeighted(image, 1 + amount, soft, -amount, 0).astype(np.uint8)


def denoised(image: Picture, rng: np.random.Generator) -> Picture:
    """Night mode: non-local means (Buades et al. 2005), then sharpened, as phones do in the dark."""
    strength = float(rng.uniform(4, 10))
    calm = cv2.fastNlMeansDenoisingColored(image, None, strength, strength, 5, 15)
    return sharpened(np.asarray(calm, dtype=np.uint8), rng)


def retouched(image: Picture, box: Box, rng: np.random.Generator) -> Picture:
    """Frequency separation inside the face: its blotches are smoothed away, half of its pores stay."""
    side = float(max(box[2:] - box[:2]))
    low = cv2.GaussianBlur(image, (0, 0), side * 0.012).astype(np.float32)
    even = cv2.bilateralFilter(low.astype(np.uint8), 9, 20, side * 0.03).astype(np.float32)
    made = np.clip(even + (image - low) * rng.uniform(0.5, 0.8), 0, 255)
    mask = _around_face(image, box, 0.45, 0.6, side * 0.08)
    return np.asarray(made * mask + image * (1 - mask), dtype=np.uint8)


def graded(image: Picture, rng: np.random.Generator) -> Picture:
    """A film look: cool shadows, warm lights, a curve, less or more colour."""
    pixels = image.astype(np.float32) / 255
    light = pixels.mean(axis=2, keepdims=True)
    tint = np.array([1, 0.25, -1], np.float32) * rng.uniform(0.03, 0.1)
    pixels = light + (pixels - light) * rng.uniform(0.6, 1.3) + (light - 0.5) * tint * 2
    curved = pixels + rng.uniform(-0.12, 0.12) * np.sin(2 * np.pi * np.clip(pixels, 0, 1))
    return np.asarray(np.clip(curved * 255, 0, 255), dtype=np.uint8)


def printed(image: Picture, rng: np.random.Generator) -> Picture:
    """Printed and scanned: dots of ink, paper, faded blacks, a soft lens."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pitch = rng.uniform(2.2, 3.5)
    dots = [np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / pitch) for a in np.radians((15, 45, 75))]
    inked = image + np.stack(dots, axis=2) * rng.uniform(4, 10)
    paper = cv2.GaussianBlur(rng.normal(0, 12, (height, width, 1)).astype(np.float32), (0, 0), 1.2)
    faded = (inked + paper.reshape(height, width, 1)) * rng.uniform(0.75, 0.9) + rng.uniform(15, 35)
    return cv2.GaussianBlur(np.clip(faded, 0, 255), (0, 0), 0.7).astype(np.uint8)


def enlarged(image: Picture, rng: np.random.Generator) -> Picture:
    """A small copy made large again and sharpened, as enhancers without a network do."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return sharpened(cv2.resize(small, (width, height), interpolation=cv2.INTER_LANCZOS4).astype(np.uint8), rng)


def _around_face(image: Picture, box: Box, wide: float, tall: float, softness: float) -> npt.NDArray[np.float32]:
    """(H, W, 1) float32 in [0, 1]: a soft ellipse, half axes in sides of the box."""
    axes = float(max(box[2:] - box[:2])) * np.array([wide, tall])
    return soft_ellipse(image.shape, (box[:2] + box[2:]) / 2, axes, softness)


def soft_ellipse(
    shape: tuple[int, ...], centre: Box, axes: Box, softness: float, degrees: float = 0.0
) -> npt.NDArray[np.float32]:
    """(H, W, 1) float32 in [0, 1]; `centre` and half `axes`: (2,) pixels, x first; `softness`: sigma of the blur."""
    mask = np.zeros(shape[:2], np.float32)
    (x, y), (wide, tall) = centre, axes
    cv2.ellipse(mask, (int(x), int(y)), (int(wide), int(tall)), degrees, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), softness)[:, :, None], dtype=np.float32)


PROCESSES: Mapping[str, Process] = {
    "as it is": lambda image, box, rng: image,
    "beauty filter": lambda image, box, rng: smoothed(image, rng),
    "retouched": retouched,
    "night mode": lambda image, box, rng: denoised(image, rng),
    "portrait blur": portrait_blurred,
    "local tone mapping": lambda image, box, rng: tone_mapped(image, rng),
    "colour grading": lambda image, box, rng: graded(image, rng),
    "sharpening": lambda image, box, rng: sharpened(image, rng),
    "enlarged": lambda image, box, rng: enlarged(image, rng),
    "printed and scanned": lambda image, box, rng: printed(image, rng),
}
"""By name; the first leaves the picture alone."""
