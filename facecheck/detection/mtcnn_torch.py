"""MTCNN's three networks, with facenet-pytorch's weights: on torch, and in a form that other engines can take over."""

import warnings

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

with warnings.catch_warnings():  # facenet-pytorch changes the warning filters when it is imported.
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet


CHANNELS = 16
"""Processors compute so many numbers at once: PNet's ten first channels are faster with six empty ones beside them."""


class _PNet(nn.Module):
    """PNet as `facecheck.detection.networks.Networks` describes it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net = PNet()
        net.conv1.weight, net.conv1.bias = _widened(net.conv1.weight, 0), _widened(net.conv1.bias, 0)
        net.prelu1.weight, net.conv2.weight = _widened(net.prelu1.weight, 0), _widened(net.conv2.weight, 1)

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        net, planes = self.net, canvas.permute(0, 3, 1, 2)
        first = net.prelu1(net.conv1(_normalised(planes[:, :3]))) + planes[:, 3:, :-2, :-2]
        features = net.prelu3(net.conv3(net.prelu2(net.conv2(net.pool1(first)))))
        return net.conv4_2(features), net.softmax4_1(net.conv4_1(features))[:, 1]


def _widened(values: Tensor, dim: int) -> nn.Parameter:
    """With zeros up to `CHANNELS` along one dimension."""
    shape = list(values.shape)
    shape[dim] = CHANNELS - shape[dim]
    return nn.Parameter(torch.cat([values.detach(), values.new_zeros(shape)], dim))


class _RNet(nn.Module):
    """RNet: patches (N, 24, 24, 3) -> offsets, scores."""

    def __init__(self) -> None:
        super().__init__()
        self.net = RNet()

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        offsets, scores = self.net(_normalised(patches.permute(0, 3, 1, 2)))
        return offsets, scores[:, 1]


class _ONet(nn.Module):
    """ONet: patches (N, 48, 48, 3) -> offsets, scores, landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ONet()

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        offsets, points, scores = self.net(_normalised(patches.permute(0, 3, 1, 2)))
        return offsets, scores[:, 1], points.unflatten(1, (2, 5)).transpose(1, 2)


def _normalised(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) * 0.0078125


NETWORKS: dict[str, type[nn.Module]] = {"pnet": _PNet, "rnet": _RNet, "onet": _ONet}


def network(name: str) -> nn.Module:
    """One of `NETWORKS` with its weights, in evaluation mode on the CPU."""
    return NETWORKS[name]().eval()


@torch.inference_mode()
def run(
    module: nn.Module, device: torch.device, pixels: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], ...]:
    """What one of the networks, which is on `device`, gives for a batch."""
    return tuple(np.asarray(output.cpu().numpy()) for output in module(torch.from_numpy(pixels).to(device)))
