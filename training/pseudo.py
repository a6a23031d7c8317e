"""Pseudo-fakes: photographs that get a trace of generation, so that no single generator teaches what a trace is.

Both kinds need real photographs only. `self_blended` pastes a face onto itself (Shiohara and Yamasaki 2022, "Detecting
deepfakes with self-blended images"); an `Upsampler` sends it through a decoder that enlarges as generators do (the idea
of Zhang et al. 2019, "Detecting and simulating artifacts in GAN fake images").
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training.augment import Box, Picture

SELF_BLEND, AUTOENCODER = "self-blend", "autoencoder"
KINDS = (SELF_BLEND, AUTOENCODER)
LATENT = 16
FACTOR = 4


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


class Upsampler(nn.Module):
    """A small convolutional autoencoder: 4 times smaller, 16 channels, and back up the way a generator draws.

    forward: (N, 3, H, W) float in [-1, 1], H and W multiples of 4 -> the same shape.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), nn.SiLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.SiLU(),
            nn.Conv2d(2 * width, LATENT, 3, 1, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(LATENT, 2 * width, 3, 1, 1), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, 1, 1), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, 3, 3, 1, 1),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode and decode."""
        decoded: Tensor = self.decoder(self.encoder(pixels))
        return decoded

    @torch.inference_mode()
    def round_trip(self, image: Picture) -> Picture:
        """(H, W, 3) uint8 RGB through the latent space and back; the edges are mirrored to a multiple of 4."""
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % FACTOR), (0, -width % FACTOR), (0, 0)), mode="symmetric")
        pixels = torch.from_numpy(padded.transpose(2, 0, 1)[None].copy()).float() / 127.5 - 1
        restored = (self(pixels)[0, :, :height, :width] + 1) * 127.5
        return np.asarray(restored.clamp(0, 255).round().byte().permute(1, 2, 0).contiguous().numpy(), dtype=np.uint8)


def load_upsampler(path: Path) -> Upsampler:
    """The autoencoder that `train_upsampler` saved."""
    upsampler = Upsampler()
    upsampler.load_state_dict(load_file(path))
    return upsampler.eval()
