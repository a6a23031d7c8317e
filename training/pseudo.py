"""Pseudo-fakes: photographs that get a trace of generation, so that no single generator teaches what a trace is.

All kinds need real photographs only. `self_blended` pastes a face onto itself (Shiohara and Yamasaki 2022, "Detecting
deepfakes with self-blended images"); `decoded_copy` sends it through an autoencoder, whose round trip leaves a
generator's traces and changes nothing else (the idea of Zhang et al. 2019, "Detecting and simulating artifacts in GAN
fake images"). `Upsampler` is small enough to be trained here (`python -m training autoencoder`). `TinyAutoencoder` is
taef2, the distilled autoencoder of FLUX.2's latent space (github.com/madebyollin/taesd, MIT). Their tensors tell them
apart.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training.processing import Box, Picture, soft_ellipse

SELF_BLEND, AUTOENCODER = "self-blend", "autoencoder"
KINDS = (SELF_BLEND, AUTOENCODER)
COPIES = {"whole": 0.5, "part": 0.2, "twice": 0.1, "resized": 0.2}
"""Share of each way in which `decoded_copy` copies."""
SMALLEST_SIDE = 64


def _face_mask(shape: tuple[int, ...], box: Box, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(H, W, 1) float32 in [0, 1]: a soft ellipse over the face, of random size and place."""
    centre = (box[:2] + box[2:]) / 2 + (box[2:] - box[:2]) * rng.uniform(-0.08, 0.08, 2)
    axes = (box[2:] - box[:2]) / 2 * rng.uniform(0.6, 1.0, 2)
    degrees = rng.uniform(-15, 15)
    reach = max(float(axes.max()) * rng.uniform(0.05, 0.25), 0.5)
    strength = rng.choice((0.5, 0.75, 1.0, 1.0))
    return np.asarray(soft_ellipse(shape, centre, axes, reach, degrees) * strength, dtype=np.float32)


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
        round_trip: through an autoencoder and back, same shape; see `training.pseudo`.
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


class Autoencoder(nn.Module):
    """Pixels -> latents -> pixels.

    forward: (N, 3, H, W) float in [0, 1], H and W multiples of `factor` -> the same shape.
    """

    factor = 4

    @torch.inference_mode()
    def round_trip(self, image: Picture) -> Picture:
        """(H, W, 3) uint8 RGB through the latent space and back; the edges are mirrored to a multiple of `factor`."""
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % self.factor), (0, -width % self.factor), (0, 0)), mode="symmetric")
        pixels = torch.from_numpy(padded.transpose(2, 0, 1)[None].copy()).float() / 255
        restored = self(pixels)[0, :, :height, :width] * 255
        return np.asarray(restored.clamp(0, 255).round().byte().permute(1, 2, 0).contiguous().numpy(), dtype=np.uint8)


class Upsampler(Autoencoder):
    """A small convolutional autoencoder: 4 times smaller, 16 channels, and back up the way a generator draws."""

    def __init__(self, width: int = 32, latent: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), nn.SiLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.SiLU(),
            nn.Conv2d(2 * width, latent, 3, 1, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, 2 * width, 3, 1, 1), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, 1, 1), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, 3, 3, 1, 1),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode and decode."""
        decoded: Tensor = self.decoder(self.encoder(pixels * 2 - 1))
        return (decoded + 1) / 2


class TinyAutoencoder(Autoencoder):
    """taef2: 8 times smaller, 32 channels."""

    factor = 8

    def __init__(self, latent: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _conv(3, 64), _Block(),
            *(layer for mixing in (False, False, True) for layer in (_halved(), *(_Block(mixing) for _ in range(3)))),
            _conv(64, latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            _Clamp(), _conv(latent, 64), nn.ReLU(),
            *(layer for mixing in (True, False, False) for layer in (*(_Block(mixing) for _ in range(3)), *_doubled())),
            _Block(), _conv(64, 3),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode and decode."""
        decoded: Tensor = self.decoder(self.encoder(pixels))
        return decoded


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _halved() -> nn.Conv2d:
    return nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)


def _doubled() -> tuple[nn.Module, nn.Module]:
    return nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)


class _Clamp(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(latents / 3) * 3


class _Block(nn.Module):
    """Three convolutions and the input; with `mixing`, what the whole picture has in common is added before."""

    def __init__(self, mixing: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(64, 64), nn.ReLU(), _conv(64, 64), nn.ReLU(), _conv(64, 64))
        self.pool = (
            nn.Sequential(
                nn.Conv2d(64, 256, 1, bias=False), nn.GroupNorm(4, 256), nn.ReLU(), nn.Conv2d(256, 64, 1, bias=False)
            )
            if mixing
            else None
        )

    def forward(self, pixels: Tensor) -> Tensor:
        if self.pool is not None:
            pixels = pixels + self.pool(pixels)
        return torch.relu(self.conv(pixels) + pixels)


def load_autoencoder(path: Path) -> Autoencoder:
    """The autoencoder that `train_upsampler` saved, or taef2, in evaluation mode, float32.

    Raises:
        ValueError: neither.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    network: Autoencoder = TinyAutoencoder() if "decoder.3.pool.0.weight" in tensors else Upsampler()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} holds no autoencoder that facecheck knows: {str(error)[:200]}") from error
    return network.eval()
