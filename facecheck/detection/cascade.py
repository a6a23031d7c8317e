"""MTCNN's three networks behind one interface."""

from abc import ABC, abstractmethod
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from facecheck.engines import AUTO, F32, OPENVINO, choose

Floats = npt.NDArray[np.float32]
HIDDEN = -1e6
"""In the fourth plane of a canvas: less than anything that PNet's first layer gives."""
CANVAS = (160, 192)
"""Height and width. One size for all, because engines prepare themselves anew for each; small, so that little of the
last one stays empty, and that what the network keeps of it stays in the processor's cache."""


class Cascade(Protocol):
    """The three networks. Pixels are float32 in [0, 255], RGB. Safe to use from several threads at once."""

    def propose(self, canvases: Floats) -> tuple[Floats, Floats]:
        """PNet over canvases on which pictures may lie side by side.

        Args:
            canvases: (N, *CANVAS, 4). The fourth plane is added to what the first convolution and its PReLU give at the
                windows that start there; `HIDDEN` keeps them from the pooling.

        Returns:
            offsets (N, 4, h, w) and scores (N, h, w) of the cells.
        """
        ...

    def refine(self, patches: Floats) -> tuple[Floats, Floats]:
        """RNet: (N, 24, 24, 3) -> offsets (N, 4), scores (N,)."""
        ...

    def decide(self, patches: Floats) -> tuple[Floats, Floats, Floats]:
        """ONet: (N, 48, 48, 3) -> offsets (N, 4), scores (N,), landmarks (N, 5, 2) xy in sides of the box."""
        ...

    def side_by_side(self) -> Self:
        """The same for callers that work in several threads at once: each gets one processor, none waits."""
        ...


class NamedNetworks(ABC):
    """A `Cascade` whose engine runs networks by their names."""

    def propose(self, canvases: Floats) -> tuple[Floats, Floats]:
        """See `Cascade`."""
        offsets, scores = self._run("pnet", canvases)
        return offsets, scores

    def refine(self, patches: Floats) -> tuple[Floats, Floats]:
        """See `Cascade`."""
        offsets, scores = self._run("rnet", patches)
        return offsets, scores

    def decide(self, patches: Floats) -> tuple[Floats, Floats, Floats]:
        """See `Cascade`."""
        offsets, scores, points = self._run("onet", patches)
        return offsets, scores, points

    @abstractmethod
    def _run(self, name: str, pixels: Floats) -> list[Floats]:
        """The outputs of one network for any number of inputs."""


def open_cascade(engine: str = AUTO, device: str = AUTO) -> Cascade:
    """MTCNN's networks on an engine, always in float32: another precision would move the boxes.

    Raises:
        DeviceError: see `facecheck.engines.choose`.
    """
    chosen = choose(device, engine, F32)
    if chosen.engine == OPENVINO:
        from facecheck.detection.mtcnn_openvino import OpenVinoCascade

        return OpenVinoCascade()
    from facecheck.detection.mtcnn_torch import TorchCascade

    return TorchCascade(chosen.device)
