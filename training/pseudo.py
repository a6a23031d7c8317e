"""Pseudo-fakes: photographs that get a trace of generation, so that no single generator teaches what a trace is.

All kinds need real photographs only. `self_blended` pastes a face onto itself (Shiohara and Yamasaki 2022, "Detecting
deepfakes with self-blended images"); `decoded_copy` sends it through a decoder that enlarges as generators do (the idea
of Zhang et al. 2019, "Detecting and simulating artifacts in GAN fake images").
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from training.processing import Box, Picture

SELF_BLEND, AUTOENCODER = "self-blend", "autoencoder"
KINDS = (SELF_BLEND, AUTOENCODER)
COPIES = {"whole": 0.5, "part": 0.2, "twice": 0.1, "resized": 0.2}
"""Share of each way in which `decoded_copy` copies."""
SMALLEST_SIDE = 64


def _face_mask(shape: tuple[int, ...], box: Box, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(H, W, 1) float32 in [0, 1]: a soft ellipse over the face, of random size and place."""
    mask = np.zeros(shape[:2], np.float32)
    centre = (box[:2] + box[2:]) / 2 + (box[2:] - box[:2]) * rng.uniform(-0.08, 0.08, 2)
    axes = (box[2:] - box[:2]) / 2 * rng.uniform(0.6, 1.0, 2)
    to_int = tuple(int(v) for v in (*centre, *axes))
    cv2.ellipse(mask, to_int[:2], to_int[2:], rng.uniform(-15, 15), 0, 360, 1.0, -1)
    reach = max(float(axes.max()) * rng.uniform(0.05, 0.25), 0.5)
    strength = rng.choice((0.5, 0.75, 1.0, 1.0))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), reach)[:, :, None] * strength, dtype=np.float32)


def self_blended(image: Picture, box: Box, rng: np.random.Generator) -> Picture:
    """A face pasted onto itself after a small shift, enlargement and change of colour.

    Args:
        image: (H, W, 3) uint8 RGB of a photograph. box: (4,) xyxy pixels.
    """
    height, width = image.shape[:2]
    pixels: npt.NDArray[np.float32] = image.astype(np.float32) * rng.uniform(0.9, 1.1, 3).astype(
        np.float32
    ) + rng.uniform(-12, 12)
    if rng.random() < 0.5:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.5)), dtype=np.float32)
    scale, shift = rng.uniform(0.96, 1.05), rng.uniform(-0.03, 0.03, 2) * (box[2:] - box[:2])
    matrix = np.array([[scale, 0, shift[0] + (1 - scale) * width / 2], [0, scale, shift[1] + (1 - scale) * height / 2]])
    moved = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    mask = _face_mask(image.shape, box, rng)
    return np.asarray(np.clip(image * (1 - mask) + moved * mask, 0, 255), dtype=np.uint8)


def decoded_copy(
    image: Picture, box: Box, round_trip: Callable[[Picture], Picture], rng: np.random.Generator
) -> Picture:
    """What a decoder makes of a photograph: a fake that differs from it in nothing but the decoder's traces.

    All of it, the face alone (blended by a soft mask), all of it twice, or at another size; shares: `COPIES`.

    Args:
        image: (H, W, 3) uint8 RGB of a photograph. box: (4,) xyxy pixels.
        round_trip: through an autoencoder and back, same shape; see `training.autoencoders`.
    """
    kind = str(rng.choice(list(COPIES), p=list(COPIES.values())))
    if kind == "part":
        mask = _face_mask(image.shape, box, rng)
        return np.asarray(np.rint(image * (1 - mask) + round_trip(image) * mask), dtype=np.uint8)
    if kind == "twice":
        return round_trip(round_trip(image))
    if kind == "whole":
        return round_trip(image)
    height, width = image.shape[:2]
    scale = max(rng.uniform(0.6, 1.4), SMALLEST_SIDE / min(height, width))
    sized = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    copied = round_trip(np.ascontiguousarray(sized, dtype=np.uint8))
    return cv2.resize(copied, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
