"""Delivery: what happens to a picture between the camera (or the generator) and the person who doubts it.

Every step is drawn without looking at the label, so no trace of delivery can tell the classes apart. The ranges follow
the habits of messengers and web pages: long side reduced, one or two lossy saves, now and then blur or noise
(Wang et al. 2020, "CNN-generated images are surprisingly easy to spot... for now").
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facecheck import crop

Picture = npt.NDArray[np.uint8]
FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Delivery:
    """How often and how hard. Probabilities in [0, 1]; qualities are those of libjpeg and libwebp."""

    rescale: float = 0.45
    face_px: tuple[float, float] = (48.0, 190.0)
    recode: float = 0.7
    quality: tuple[int, int] = (30, 95)
    recode_again: float = 0.25
    webp: float = 0.15
    blur: float = 0.12
    noise: float = 0.10
    colour: float = 0.5
    grey: float = 0.04
    erase: float = 0.15
    flip: float = 0.5
    box_shift: float = 0.06
    box_scale: tuple[float, float] = (0.88, 1.18)


def recompress(image: Picture, quality: int, extension: str = ".jpg") -> Picture:
    """Save and reopen (H, W, 3) uint8 RGB through a lossy codec."""
    flag = cv2.IMWRITE_JPEG_QUALITY if extension == ".jpg" else cv2.IMWRITE_WEBP_QUALITY
    _, encoded = cv2.imencode(extension, image[:, :, ::-1], [flag, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"cannot reopen a picture of shape {image.shape} saved as {extension}")
    return np.ascontiguousarray(decoded[:, :, ::-1], dtype=np.uint8)


def _rescaled(
    image: Picture, box: npt.NDArray[np.float64], target_px: float, rng: np.random.Generator
) -> tuple[Picture, npt.NDArray[np.float64]]:
    scale = target_px / max(box[2] - box[0], box[3] - box[1])
    if scale >= 1.0:
        return image, box
    height, width = image.shape[:2]
    size = (max(round(width * scale), 8), max(round(height * scale), 8))
    # Without antialias now and then: browsers and cheap thumbnailers do so too.
    method = int(rng.choice(FILTERS, p=(0.45, 0.2, 0.2, 0.15)))
    small = cv2.resize(image, size, interpolation=method)
    return small.astype(np.uint8), box * np.array([size[0] / width, size[1] / height] * 2)


def _recoloured(image: Picture, rng: np.random.Generator) -> Picture:
    pixels = image.astype(np.float32)
    pixels = (pixels - 128) * rng.uniform(0.75, 1.3) + 128 + rng.uniform(-25, 25)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = (grey + (pixels - grey) * rng.uniform(0.5, 1.4)) * rng.uniform(0.93, 1.07, size=3).astype(np.float32)
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.uint8)


def _worn(image: Picture, settings: Delivery, rng: np.random.Generator) -> Picture:
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6)).astype(np.uint8)
    if rng.random() < settings.noise:
        noisy = image + rng.normal(0, rng.uniform(1, 9), image.shape)
        image = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < settings.recode:
        for _ in range(1 + (rng.random() < settings.recode_again)):
            extension = ".webp" if rng.random() < settings.webp else ".jpg"
            image = recompress(image, int(rng.integers(*settings.quality, endpoint=True)), extension)
    return image


def _jittered(box: npt.NDArray[np.float64], settings: Delivery, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Another detector's box for the same face: where the box sits must not tell the classes apart."""
    centre, side = (box[:2] + box[2:]) / 2, max(box[2] - box[0], box[3] - box[1])
    centre = centre + side * rng.uniform(-settings.box_shift, settings.box_shift, size=2)
    half = side * rng.uniform(*settings.box_scale) / 2
    return np.concatenate([centre - half, centre + half])


def _erased(face: Picture, rng: np.random.Generator) -> Picture:
    size = face.shape[0]
    height, width = (int(size * rng.uniform(0.1, 0.4)) for _ in range(2))
    y, x = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
    face = face.copy()
    face[y : y + height, x : x + width] = rng.integers(0, 256, size=3)
    return face


def training_face(
    image: Picture, box: npt.ArrayLike, size: int, margin: float, settings: Delivery, rng: np.random.Generator
) -> Picture:
    """One training example: the picture is delivered, then cut by the same function as at inference.

    Args:
        image: (H, W, 3) uint8 RGB; box: (4,) xyxy pixels; size, margin: as in `facecheck.crop.face`.
        rng: every random choice comes from it, so the same generator state gives the same pixels.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    corners = np.asarray(box, dtype=np.float64)
    if rng.random() < settings.colour:
        image = _recoloured(image, rng)
    if rng.random() < settings.grey:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2).astype(np.uint8)
    if rng.random() < settings.rescale:
        target = np.exp(rng.uniform(*np.log(settings.face_px)))
        image, corners = _rescaled(image, corners, float(target), rng)
    image = _worn(image, settings, rng)
    face = crop.face(image, _jittered(corners, settings, rng), size, margin)
    if rng.random() < settings.flip:
        face = np.ascontiguousarray(face[:, ::-1])
    return _erased(face, rng) if rng.random() < settings.erase else face
