"""MTCNN's three networks on an engine. Their weights ship with facenet-pytorch, nothing is downloaded."""

import warnings
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

HIDDEN = -1e6
Floats = npt.NDArray[np.float32]


class Cascade(Protocol):
    """The three networks; pixels are float32 means in [0, 255], RGB. Safe to call from several threads at once."""

    def propose(self, levels: Floats) -> tuple[Floats, Floats]:
        """PNet: (N, H, W, 3), both sides at least 12 -> offsets (N, 4, h, w) and scores (N, h, w) of its cells."""
        ...

    def refine(self, patches: Floats) -> tuple[Floats, Floats]:
        """RNet: (N, 24, 24, 3) -> offsets (N, 4), scores (N,)."""
        ...

    def decide(self, patches: Floats) -> tuple[Floats, Floats, Floats]:
        """ONet: (N, 48, 48, 3) -> offsets (N, 4), scores (N,), landmarks (N, 5, 2) xy in sides of the box."""
        ...


class TorchCascade:
    def __init__(self, device: str) -> None:
        with warnings.catch_warnings():  # facenet-pytorch changes the warning filters when it is imported.
            from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
        self.device = torch.device(device)
        self._p, self._r, self._o = (n().eval().to(self.device) for n in (PNet, RNet, ONet))

    def _run(self, network: nn.Module, pixels: Floats) -> list[Floats]:
        with torch.inference_mode():
            x = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            return [out.cpu().numpy() for out in network((x - 127.5) * 0.0078125)]

    def propose(self, levels):
        with torch.inference_mode():
            x = torch.from_numpy(levels).permute(0, 3, 1, 2)
            n = self._p
            y = (x[:, :3] - 127.5) * 0.0078125
            y = n.pool1(n.prelu1(n.conv1(y)) + x[:, 3:, :-2, :-2])
            y = n.prelu3(n.conv3(n.prelu2(n.conv2(y))))
            return n.conv4_2(y).numpy(), n.softmax4_1(n.conv4_1(y))[:, 1].numpy()

    def refine(self, patches):
        offsets, scores = self._run(self._r, patches)
        return offsets, scores[:, 1]

    def decide(self, patches):
        offsets, points, scores = self._run(self._o, patches)
        return offsets, scores[:, 1], points.reshape(-1, 2, 5).transpose(0, 2, 1)


def cascade(engine, device):
    return TorchCascade(device)
