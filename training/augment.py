"""Delivery: what happens to a picture between the camera (or the generator) and the person who doubts it.

In training every step is drawn without looking at the label, so no trace of delivery can tell the classes apart. The
ranges follow the habits of messengers and web pages: long side reduced, one or two lossy saves, now and then blur or
noise (Wang et al. 2020, "CNN-generated images are surprisingly easy to spot... for now"). For measuring there are three
fixed tiers, both classes alike; every published rate names its tier.
"""

import io
from dataclasses import dataclass, fields
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facecheck import crop
from facecheck.decoding import FORMATS
from training.processing import Box, Picture, portrait_blurred, sharpened, smoothed, tone_mapped

FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
CODECS = ("JPEG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Delivery:
    """How often and how hard. Probabilities in [0, 1]; qualities are those of libjpeg, libwebp and libavif.

    Attributes:
        rescale, face_px: reduce the face to this many pixels, as thumbnails and messengers do.
        screenshot: enlarge or reduce once more by up to a third, as a screen at a fractional zoom does.
        recode, quality, recode_again: one lossy save, or two (Wang et al. 2020); `codecs` are the shares of `CODECS`.
        blur, noise: as in Wang et al. 2020. sharpen: the unsharp mask of phone cameras and photo editors.
        colour, grey: brightness, contrast, saturation, white balance and tone curve, as filters change them.
        beauty: edge-preserving smoothing (Tomasi and Manduchi 1998), what beauty filters and night modes do to skin.
        tone: local tone mapping (CLAHE, Zuiderveld 1994), as phones do. portrait: everything around the face blurred.
        cut, cut_share: a side of the picture cuts this share of the face off.
        turn, turn_degrees: rotate the picture.
        zoom, zoom_scale: a part of the face at its native resolution (Gragnaniello et al. 2021).
        erase: random erasing (Zhong et al. 2017). shuffle: exchange patches (Zheng et al. 2024, "Breaking semantic
            artifacts for generalized AI-generated image detection").
        flip: mirror. box_shift, box_scale: another detector's box for the same face.
    """

    rescale: float = 0.45
    face_px: tuple[float, float] = (48.0, 190.0)
    screenshot: float = 0.08
    recode: float = 0.7
    quality: tuple[int, int] = (30, 95)
    recode_again: float = 0.25
    codecs: tuple[float, float, float] = (0.82, 0.14, 0.04)
    blur: float = 0.12
    noise: float = 0.10
    sharpen: float = 0.12
    colour: float = 0.5
    grey: float = 0.04
    beauty: float = 0.12
    tone: float = 0.1
    portrait: float = 0.1
    cut: float = 0.2
    cut_share: tuple[float, float] = (0.05, 0.45)
    turn: float = 0.15
    turn_degrees: tuple[float, float] = (-10.0, 10.0)
    zoom: float = 0.12
    zoom_scale: tuple[float, float] = (0.5, 0.88)
    erase: float = 0.15
    shuffle: float = 0.0
    flip: float = 0.5
    box_shift: float = 0.08
    box_scale: tuple[float, float] = (0.72, 1.06)

    @classmethod
    def none(cls, **steps: Any) -> Self:
        """A picture handed over as it is, but for `steps`."""
        never = {field.name: 0.0 for field in fields(cls) if isinstance(field.default, float)}
        return cls(**{**never, "box_scale": (1.0, 1.0), **steps})


def recompress(image: Picture, quality: int, codec: str = "JPEG") -> Picture:
    """Save and reopen (H, W, 3) uint8 RGB through a lossy codec of `CODECS`."""
    if codec == "AVIF":
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, codec, quality=quality, speed=10, max_threads=1)
        return np.asarray(Image.open(stream).convert("RGB"))
    extension, flag = (".jpg", cv2.IMWRITE_JPEG_QUALITY) if codec == "JPEG" else (".webp", cv2.IMWRITE_WEBP_QUALITY)
    _, encoded = cv2.imencode(extension, image[:, :, ::-1], [flag, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"cannot reopen a picture of shape {image.shape} saved as {codec}")
    return np.ascontiguousarray(decoded[:, :, ::-1], dtype=np.uint8)


def reduced(image: Picture, box: Box, face_px: float, method: int = cv2.INTER_AREA) -> tuple[Picture, Box]:
    """The picture with its face brought down to `face_px` pixels; a smaller one stays as it is."""
    scale = face_px / max(box[2:] - box[:2])
    return (image, box) if scale >= 1 else _resized(image, box, scale, method)


def _resized(image: Picture, box: Box, scale: float, method: int) -> tuple[Picture, Box]:
    height, width = image.shape[:2]
    size = (max(round(width * scale), 8), max(round(height * scale), 8))
    resized = cv2.resize(image, size, interpolation=method).astype(np.uint8)
    return resized, box * np.array([size[0] / width, size[1] / height] * 2)


def cut(image: Picture, box: Box, share: float, side: int) -> tuple[Picture, Box]:
    """Take `share` of the face's width or height away at a side: 0 left, 1 top, 2 right, 3 bottom."""
    height, width = image.shape[:2]
    reach = share * (box[2:] - box[:2])
    x0, y0, x1, y1 = 0, 0, width, height
    if side == 0:
        x0 = max(round(box[0] + reach[0]), 0)
    elif side == 1:
        y0 = max(round(box[1] + reach[1]), 0)
    elif side == 2:
        x1 = min(round(box[2] - reach[0]), width)
    else:
        y1 = min(round(box[3] - reach[1]), height)
    return np.ascontiguousarray(image[y0:y1, x0:x1]), box - np.array([x0, y0, x0, y0])


def _turned(image: Picture, box: Box, degrees: float) -> Picture:
    centre = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    matrix = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    size = (image.shape[1], image.shape[0])
    turned = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return turned.astype(np.uint8)


def _recoloured(image: Picture, rng: np.random.Generator) -> Picture:
    pixels = image.astype(np.float32)
    pixels = (pixels - 128) * rng.uniform(0.75, 1.3) + 128 + rng.uniform(-25, 25)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = (grey + (pixels - grey) * rng.uniform(0.5, 1.4)) * rng.uniform(0.93, 1.07, size=3).astype(np.float32)
    curve = rng.uniform(0.8, 1.25)
    pixels = 255 * (np.clip(pixels, 0, 255) / 255) ** curve
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.uint8)


def _worn(image: Picture, settings: Delivery, rng: np.random.Generator) -> Picture:
    if rng.random() < settings.beauty:
        image = smoothed(image, rng)
    if rng.random() < settings.tone:
        image = tone_mapped(image, rng)
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6)).astype(np.uint8)
    if rng.random() < settings.sharpen:
        image = sharpened(image, rng)
    if rng.random() < settings.noise:
        noisy = image + rng.normal(0, rng.uniform(1, 9), image.shape)
        image = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < settings.recode:
        for _ in range(1 + (rng.random() < settings.recode_again)):
            codec = str(rng.choice(CODECS, p=settings.codecs))
            image = recompress(image, int(rng.integers(*settings.quality, endpoint=True)), codec)
    return image


def _framed(image: Picture, box: Box, settings: Delivery, rng: np.random.Generator) -> tuple[Picture, Box]:
    """Turned, cut off, reduced, shown on a screen: everything that moves pixels before they are saved."""
    if rng.random() < settings.turn:
        image = _turned(image, box, rng.uniform(*settings.turn_degrees))
    if rng.random() < settings.cut:
        image, box = cut(image, box, rng.uniform(*settings.cut_share), int(rng.integers(4)))
    if rng.random() < settings.rescale:
        # Without antialias now and then: browsers and cheap thumbnailers do so too.
        method = int(rng.choice(FILTERS, p=(0.45, 0.2, 0.2, 0.15)))
        image, box = reduced(image, box, float(np.exp(rng.uniform(*np.log(settings.face_px)))), method)
    if rng.random() < settings.screenshot:
        image, box = _resized(image, box, rng.uniform(0.75, 1.33), int(rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC))))
    return image, box


def _jittered(box: Box, settings: Delivery, rng: np.random.Generator) -> Box:
    """Another detector's box for the same face: where the box sits must not tell the classes apart."""
    centre, side = (box[:2] + box[2:]) / 2, max(box[2] - box[0], box[3] - box[1])
    if rng.random() < settings.zoom:
        scale = rng.uniform(*settings.zoom_scale)
        shift = (1 - scale) / 2
    else:
        scale, shift = rng.uniform(*settings.box_scale), settings.box_shift
    centre = centre + side * rng.uniform(-shift, shift, size=2)
    half = side * scale / 2
    return np.concatenate([centre - half, centre + half])


def _erased(face: Picture, rng: np.random.Generator) -> Picture:
    size = face.shape[0]
    height, width = (int(size * rng.uniform(0.1, 0.4)) for _ in range(2))
    y, x = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
    face = face.copy()
    face[y : y + height, x : x + width] = rng.integers(0, 256, size=3)
    return face


def _shuffled(face: Picture, rng: np.random.Generator, tiles: int = 4) -> Picture:
    side = face.shape[0] // tiles
    blocks = face[: side * tiles, : side * tiles].reshape(tiles, side, tiles, side, 3).swapaxes(1, 2)
    order = rng.permutation(tiles * tiles)
    mixed = blocks.reshape(-1, side, side, 3)[order].reshape(tiles, tiles, side, side, 3)
    face = face.copy()
    face[: side * tiles, : side * tiles] = mixed.swapaxes(1, 2).reshape(side * tiles, side * tiles, 3)
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
    if rng.random() < settings.portrait:
        image = portrait_blurred(image, corners, rng)
    image, corners = _framed(image, corners, settings, rng)
    face = crop.face(_worn(image, settings, rng), _jittered(corners, settings, rng), size, margin)
    if rng.random() < settings.flip:
        face = np.ascontiguousarray(face[:, ::-1])
    if rng.random() < settings.shuffle:
        face = _shuffled(face, rng)
    return _erased(face, rng) if rng.random() < settings.erase else face


TIERS: dict[str, tuple[int, int] | None] = {"clean": None, "web": (768, 60), "hard": (512, 40)}
"""Name -> (longest side in pixels, JPEG quality); None leaves the file as it is."""


def delivered(data: bytes, tier: str) -> bytes:
    """The bytes of a picture file as they arrive through a tier of `TIERS`: reduced by LANCZOS, saved as JPEG.

    Raises:
        KeyError: no such tier.
    """
    settings = TIERS[tier]
    if settings is None:
        return data
    side, quality = settings
    picture = Image.open(io.BytesIO(data), formats=FORMATS).convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
