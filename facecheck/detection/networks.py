"""MTCNN's three networks (P-Net, R-Net, O-Net) on any engine, behind one interface."""

import functools
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facecheck.engines import AUTO, F32, OPENVINO
from facecheck.engines.choosing import choose

if TYPE_CHECKING:
    from torch import nn

Floats = npt.NDArray[np.float32]
Run = Callable[[Floats], tuple[Floats, ...]]
HIDDEN = -1e6
"""In the fourth plane of a canvas: less than anything that PNet's first layer gives."""
CANVAS = (160, 192)
"""Height and width. One size for all, because engines prepare themselves anew for each; small, so that little of the
last one stays empty, and that what the network keeps of it stays in the processor's cache."""
SHAPES = {"pnet": (1, *CANVAS, 4), "rnet": (16, 24, 24, 3), "onet": (2, 48, 48, 3)}
"""The networks, and their inputs on OpenVINO: a shape that comes for the first time costs as much as ten that came
before."""


@dataclass(frozen=True)
class Networks:
    """The three networks. Pixels are float32 in [0, 255], RGB. Safe to use from several threads at once.

    Attributes:
        pnet: canvases (N, *CANVAS, 4), on which pictures may lie next to each other -> offsets (N, 4, h, w) and scores
            (N, h, w) of the cells. The fourth plane is added to what the first convolution and its PReLU give at the
            windows that start there; `HIDDEN` keeps them from the pooling.
        rnet: (N, 24, 24, 3) -> offsets (N, 4), scores (N,).
        onet: (N, 48, 48, 3) -> offsets (N, 4), scores (N,), landmarks (N, 5, 2) xy in sides of the box.
        for_workers: the same for callers that work in several threads at once: each gets one processor, none waits.
    """

    pnet: Run
    rnet: Run
    onet: Run
    for_workers: "Callable[[], Networks]"


def open_networks(engine: str = AUTO, device: str = AUTO) -> Networks:
    """The networks on an engine, always in float32: another precision would move the boxes.

    Raises:
        DeviceError: see `facecheck.engines.choosing.choose`. ConversionError: OpenVINO cannot run the networks.
    """
    chosen = choose(device, engine, F32)
    return _on_openvino() if chosen.engine == OPENVINO else _on_torch(chosen.device)


def _on_torch(device: str) -> Networks:
    """Serves whoever calls with the threads of torch itself."""
    from facecheck.detection.mtcnn_torch import network, run
    from facecheck.engines.torch import pick_device

    place = pick_device(device)
    pnet, rnet, onet = (functools.partial(run, network(name).to(place), place) for name in SHAPES)
    networks = Networks(pnet, rnet, onet, lambda: networks)
    return networks


def _on_openvino(workers: int = 1) -> Networks:
    """For so many threads at once; see `facecheck.engines.openvino.Requests`."""
    from facecheck.engines.openvino import Requests
    from facecheck.engines.runtime import best_workers

    pnet, rnet, onet = (Requests(_converted(name), workers=workers).run for name in SHAPES)
    return Networks(pnet, rnet, onet, lambda: _on_openvino(best_workers()))


@functools.cache
def _converted(name: str) -> Any:
    from facecheck.engines.conversion import converted

    def make() -> "tuple[nn.Module, tuple[int, ...]]":
        from facecheck.detection.mtcnn_torch import network

        return network(name), SHAPES[name]

    version = importlib.metadata.version("facenet-pytorch")
    return converted(f"facenet-pytorch {version} {name} {SHAPES[name]}", make)
