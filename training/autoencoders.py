"""Autoencoders whose round trip gives a photograph a generator's traces and changes nothing else of it.

`Upsampler` is small enough to be trained here (`python -m training autoencoder`). `TinyAutoencoder` is taef2, the
distilled autoencoder of FLUX.2's latent space (github.com/madebyollin/taesd, MIT). Their tensors tell them apart.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training.processing import Picture


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
