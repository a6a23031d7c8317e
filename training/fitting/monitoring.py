"""What a run shows on its way: its log (screen, JSON lines, TensorBoard), and its validation on the web tier."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facecheck import crop, image
from facecheck.files import naming, write_atomically
from facecheck.model.config import ModelConfig
from training.augment import delivered
from training.data import FaceFile
from training.evaluation.metrics import roc_auc
from training.fitting.trainer import mixed_precision

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """`folder`/log.jsonl, one object a report; TensorBoard's files in `folder`/tensorboard.

    Args:
        step: reports after it belong to a future that a killed run never saved, and are dropped.
        tensorboard: also write event files; needs the package of that name.
        wandb: name of a Weights & Biases project that mirrors TensorBoard; needs the package wandb.
    """

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = False, wandb: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self._keep_until(step)
        if wandb:
            import wandb as service

            service.init(project=wandb, dir=str(folder), sync_tensorboard=True)
        self.board = _board(folder / "tensorboard", step) if tensorboard or wandb else None

    def _keep_until(self, step: int) -> None:
        if not self.path.exists():
            return
        kept = [line for line in self.path.read_text().splitlines() if _step_of(line) <= step]
        write_atomically(self.path, "".join(line + "\n" for line in kept).encode())

    def report(self, step: int, **values: float) -> None:
        """Write the values of one step."""
        rounded = {name: round(value, 6) for name, value in values.items()}
        with naming(self.path), self.path.open("a") as stream:
            stream.write(json.dumps({"step": step, **rounded}) + "\n")
        print(f"step {step}", *(f"{name} {value:g}" for name, value in rounded.items()), sep="  ", flush=True)
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush what is still in memory."""
        if self.board is not None:
            self.board.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # Half a line: the run was killed while it wrote.


def _board(folder: Path, step: int) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder, purge_step=step or None)


def arrived(row: FaceFile, tier: str, size: int, margin: float) -> npt.NDArray[np.uint8]:
    """(size, size, 3) uint8 RGB: a row's face after a delivery tier, cut at the manifest's box.

    Prepared files are small enough for every tier to leave their size, so that the box holds.
    """
    return crop.face(image.load(delivered(row.path.read_bytes(), tier)), row.box, size, margin)


@torch.inference_mode()
def logits(network: nn.Module, faces: Iterable[Tensor], config: ModelConfig, device: torch.device) -> Tensor:
    """Batches of (N, 3, S, S) uint8 faces -> all their logits; `network` is in evaluation mode on `device`."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (config.mean, config.std))
    found = []
    for batch in faces:
        pixels = ((batch.float() - mean) / std).to(device, memory_format=torch.channels_last)
        with mixed_precision(device):
            found.append(network(pixels).squeeze(1).float().cpu())
    return torch.cat(found)


class Watch:
    """Validation faces as they arrive through a delivery tier, held in memory.

    Args:
        rows: of the val split; `limit` of them are drawn at random, both classes alike.
        size: input side, pixels.
    """

    def __init__(
        self, rows: Sequence[FaceFile], config: ModelConfig, size: int, limit: int = 600, tier: str = "web"
    ) -> None:
        rng = np.random.default_rng(0)
        classes = [[row for row in rows if row.target == target] for target in (0, 1)]
        if not all(classes):
            raise ValueError("watching needs real and fake faces in the val split")
        each = min(limit // 2, *map(len, classes))
        chosen = [members[i] for members in classes for i in rng.permutation(len(members))[:each]]
        self.config, self.targets = config, np.array([row.target for row in chosen])
        faces = np.stack([arrived(row, tier, size, config.crop_margin) for row in chosen])
        self.faces = torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))

    def auc(self, network: nn.Module, device: torch.device) -> float:
        """Area under the ROC curve of `network`, which is in evaluation mode on `device`."""
        scores = logits(network, torch.split(self.faces, 64), self.config, device)
        return roc_auc(self.targets, scores.double().numpy())
