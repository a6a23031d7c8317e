"""Train the second stage of facecheck/tiny-faces: it doubles the 64 pixels of the first one, and paints the detail.

A cascade (Ho et al. 2022, "Cascaded Diffusion Models") whose second stage is one pass of a small convolutional
network that a discriminator teaches (Ledig et al. 2017, "SRGAN"; hinge loss and spectral norm: Miyato et al. 2018).
Half of what it learns from is not a photograph made smaller but what the first stage makes of a photograph with
some noise (SDEdit, Meng et al. 2022), so that it knows that network's blur. The pipeline that is written is a
latent diffusion of diffusers: its latents are pixels, its decoder is this network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, LDMPipeline, UNet2DModel
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from data_generation.tiny.run import PIPELINE, Faces, Run, RunConfig, Smooth, as_faces, as_tensor, cached
from data_generation.tiny.train import SIDE, noise_schedule

LARGE = 2 * SIDE
WIDTH = 32
PATCH = 32
"""Side of what is enlarged at a time while learning, pixels of the small picture."""
NOISED = (80, 320)
"""Steps of noise, of 1000, that the first stage takes away again."""


@dataclass(frozen=True)
class EnlargerConfig(RunConfig):
    """One run.

    Attributes:
        warmup: steps before the discriminator is listened to.
        adversarial: weight of the discriminator beside the mean absolute error.
    """

    steps: int = 4000
    batch: int = 16
    lr: float = 4e-4
    warmup: int = 1000
    adversarial: float = 0.02

    def rate(self, step: int) -> float:
        """Factor on the learning rate: it falls to zero over the last half."""
        return min(1.0, (step + 1) / 100, 2 * (self.steps - step) / self.steps)


def build_enlarger() -> AutoencoderTiny:
    """(N, 3, 64, 64) in [-1, 1] -> (N, 3, 128, 128); it begins as nearest neighbours. The encoder is a stub."""
    network = AutoencoderTiny(
        encoder_block_out_channels=(3, 3), num_encoder_blocks=(0, 0), latent_channels=3,
        decoder_block_out_channels=(WIDTH, WIDTH), num_decoder_blocks=(3, 1),
    )  # fmt: skip
    convolutions = [layer for layer in network.decoder.layers if isinstance(layer, nn.Conv2d)]
    blocks = [layer for layer in network.decoder.layers if hasattr(layer, "fuse")]
    with torch.no_grad():
        for block in blocks:
            block.conv[-1].weight.mul_(0.1)
            block.conv[-1].bias.zero_()
        _carry_colours(*convolutions)
    return network


def _carry_colours(first: nn.Conv2d, middle: nn.Conv2d, last: nn.Conv2d) -> None:
    """Let the first six channels carry a colour each, its positive and its negative half, past the rectifiers."""
    for layer, bias in ((first, 0.0), (middle, 0.0), (last, 0.5)):  # The decoder's own range is [0, 1].
        layer.weight.mul_(0.1)
        if layer.bias is not None:
            layer.bias.fill_(bias)
    for colour in range(3):
        for channel, sign in ((colour, 1.0), (colour + 3, -1.0)):
            first.weight[channel] = middle.weight[channel] = last.weight[colour, channel] = 0
            first.weight[channel, colour, 1, 1] = sign
            middle.weight[channel, channel, 1, 1] = 1
            last.weight[colour, channel, 1, 1] = sign / 2


def build_discriminator() -> nn.Module:
    """(N, 6, S, S): a picture and the small one it was made from, enlarged -> one logit for each 16 pixels."""
    layers: list[nn.Module] = []
    for before, after in ((6, 32), (32, 64), (64, 96), (96, 128)):
        layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(128, 1, 1)))


def small_of(large: Tensor) -> Tensor:
    """The picture at half its side; antialiased."""
    return functional.interpolate(large, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)


@torch.no_grad()
def redrawn(faces: Faces, first_stage: UNet2DModel, seed: int = 0, batch: int = 32, steps: int = 3) -> Faces:
    """What the first stage makes of photographs with some noise.

    Args:
        faces: (N, 128, 128, 3) uint8.

    Returns:
        (N, 64, 64, 3) uint8.
    """
    schedule, rng = noise_schedule(), np.random.default_rng(seed)
    made = []
    for start in range(0, len(faces), batch):
        clean = small_of(as_tensor(faces[start : start + batch]))
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        at = int(rng.integers(*NOISED))
        seen = schedule.add_noise(clean, noise, torch.full((len(clean),), at))
        made.append(as_faces(_cleaned(seen, at, first_stage, schedule.alphas_cumprod, steps)))
    return np.concatenate(made)


def _cleaned(seen: Tensor, at: int, network: UNet2DModel, signal: Tensor, steps: int) -> Tensor:
    """DDIM from noise level `at` to none."""
    clean = seen
    levels = np.linspace(at, 0, steps + 1).astype(int)
    for now, then in pairwise(levels):
        alpha, sigma = signal[now].sqrt(), (1 - signal[now]).sqrt()
        velocity = network(seen, int(now)).sample
        clean = (alpha * seen - sigma * velocity).clamp(-1, 1)
        noise = (seen - alpha * clean) / sigma
        seen = signal[then].sqrt() * clean + (1 - signal[then]).sqrt() * noise
    return clean


class EnlargerRun(Run[EnlargerConfig]):
    """Both networks of one run.

    Attributes:
        large: (N, 128, 128, 3) uint8. redrawn: (N, 64, 64, 3) uint8, see `redrawn`.
    """

    learned = ("network", "critic", "optimizer", "critic_optimizer")

    def __init__(self, large: Faces, redrawn: Faces, config: EnlargerConfig, folder: Path) -> None:
        super().__init__(config, folder)
        self.large, self.redrawn = large, redrawn
        self.network, self.critic = build_enlarger(), build_discriminator()
        for network in (self.network, self.critic):
            network.to(memory_format=torch.channels_last)
        betas = (0.5, 0.99)
        self.optimizer = torch.optim.Adam(self.network.decoder.parameters(), config.lr, betas)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), config.lr, betas)
        self.begin_average()

    def train_step(self) -> tuple[float, float]:
        """One update of both networks; returns the absolute error in grey levels, and the discriminator's loss."""
        small, large = self._batch(np.random.default_rng((self.config.seed, self.step)))
        rate = self.config.lr * self.config.rate(self.step)
        for optimizer in (self.optimizer, self.critic_optimizer):
            optimizer.param_groups[0]["lr"] = rate
        made = self.network.decoder(small)
        beside = functional.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
        error = (made - large).abs().mean()
        loss, doubt = error, 0.0
        if self.step >= self.config.warmup:
            doubt = self._teach_critic(large, made.detach(), beside)
            loss = error - self.config.adversarial * self.critic(torch.cat((made, beside), 1)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.follow()
        return float(error.item()) * 127.5, doubt

    def _teach_critic(self, large: Tensor, made: Tensor, beside: Tensor) -> float:
        real, fake = self.critic(torch.cat((large, beside), 1)), self.critic(torch.cat((made, beside), 1))
        loss: Tensor = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()
        return float(loss.item())

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(N, 3, PATCH, PATCH) and (N, 3, 2 PATCH, 2 PATCH): half of the small ones made by the first stage."""
        small: list[Tensor] = []
        large: list[Tensor] = []
        for index in rng.integers(0, len(self.large), self.config.batch):
            face = as_tensor(self.large[index : index + 1])
            is_redrawn = rng.random() < 0.5
            reduced = as_tensor(self.redrawn[index : index + 1]) if is_redrawn else small_of(face).clamp(-1, 1)
            y, x = (int(v) for v in rng.integers(0, SIDE - PATCH + 1, 2))
            parts = (
                reduced[..., y : y + PATCH, x : x + PATCH],
                face[..., 2 * y :, 2 * x :][..., : 2 * PATCH, : 2 * PATCH],
            )
            is_mirrored = rng.random() < 0.5
            for kept, part in zip((small, large), parts, strict=True):
                kept.append(part.flip(-1) if is_mirrored else part)
        return _stacked(small), _stacked(large)

    def export(self, first_stage: UNet2DModel, folder: Path) -> None:
        """Write both stages as one diffusers pipeline, float16."""
        network = build_enlarger()
        network.load_state_dict(self.average)
        LDMPipeline(network.half(), first_stage.half(), noise_schedule()).save_pretrained(folder)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)).contiguous(memory_format=torch.channels_last)


def train_enlarger(
    faces: Faces, first_stage: Path, config: EnlargerConfig, folder: Path, log: Callable[[str], object] = print
) -> Path:
    """Train, resuming a run found in `folder`.

    Args:
        faces: (N, 128, 128, 3) uint8.
        first_stage: folder of the pipeline that `train_tiny` made.

    Returns:
        The folder of the pipeline of both stages, for `DiffusionPipeline.from_pretrained`.
    """
    network = UNet2DModel.from_pretrained(first_stage, subfolder="unet").eval()
    again = cached(folder / "redrawn.npy", lambda: redrawn(faces, network, config.seed), SIDE, len(faces))
    run, error, doubt = EnlargerRun(faces, again, config, folder), Smooth(), Smooth()
    run.resume()

    def export() -> None:
        run.export(UNet2DModel.from_pretrained(first_stage, subfolder="unet"), folder / PIPELINE)

    for _ in run.steps(log, lambda: f"error {error}  critic {doubt}", export):
        for shown, value in zip((error, doubt), run.train_step(), strict=True):
            shown.add(value)
    return folder / PIPELINE
