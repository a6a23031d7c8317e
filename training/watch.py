"""Validation while a run goes on: the moving average, on faces that came through the web."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from facecheck import crop, image
from facecheck.models import ModelConfig
from training.data import FaceFile
from training.evaluate import delivered


class Watch:
    """Validation faces as they arrive through a delivery tier, cut at the manifest's box and held in memory.

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
        self.targets = np.array([row.target for row in chosen])
        pictures = (image.load(delivered(row.path.read_bytes(), tier)) for row in chosen)
        self.faces = torch.from_numpy(
            np.stack(
                [crop.face(p, row.box, size, config.crop_margin) for p, row in zip(pictures, chosen, strict=True)]
            ).transpose(0, 3, 1, 2)
        )
        self.mean = torch.tensor(config.mean).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(config.std).view(1, 3, 1, 1) * 255

    @torch.inference_mode()
    def auc(self, network: nn.Module, device: torch.device) -> float:
        """Area under the ROC curve of `network`, which is in evaluation mode on `device`."""
        logits = []
        for faces in self.faces.split(64):
            pixels = ((faces.float() - self.mean) / self.std).to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits.append(network(pixels).squeeze(1).float().cpu())
        return float(roc_auc_score(self.targets, torch.cat(logits).numpy()))
