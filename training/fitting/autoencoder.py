"""Train the autoencoder whose round trip makes pseudo-fakes; real photographs only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save as dump_tensors
from torch.nn.functional import l1_loss

from facecheck.files import write_atomically
from training.autoencoders import Upsampler
from training.data import FaceFile, read_rgb

PATCH = 96


def _patch(row: FaceFile, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    picture = read_rgb(row.path)
    short = max(PATCH - picture.shape[0], 0), max(PATCH - picture.shape[1], 0)
    picture = np.pad(picture, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    y, x = (int(rng.integers(0, side - PATCH + 1)) for side in picture.shape[:2])
    return picture[y : y + PATCH, x : x + PATCH].transpose(2, 0, 1)


def train_upsampler(
    rows: Sequence[FaceFile], path: Path, steps: int = 1500, batch: int = 16, lr: float = 2e-3, seed: int = 0
) -> float:
    """Fit the autoencoder to random patches of the real faces among `rows` and save it at `path`.

    Returns:
        The mean absolute error over the last tenth of the steps, grey levels of 255.
    """
    real = [row for row in rows if row.label == "real"]
    torch.manual_seed(seed)
    network = Upsampler()
    optimizer = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        patches = np.stack([_patch(real[i], rng) for i in rng.integers(0, len(real), batch)])
        pixels = torch.from_numpy(patches).float() / 255
        loss = l1_loss(network(pixels), pixels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item() * 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, dump_tensors(network.state_dict()))
    return float(np.mean(losses[-max(steps // 10, 1) :]))
