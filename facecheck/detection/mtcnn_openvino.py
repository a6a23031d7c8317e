"""MTCNN's three networks on OpenVINO."""

import functools
import importlib.metadata
from typing import TYPE_CHECKING, Any

from facecheck.detection.networks import CANVAS, ONET, PNET, RNET, Networks
from facecheck.engines.conversion import converted
from facecheck.engines.openvino import Requests
from facecheck.engines.runtime import best_workers

if TYPE_CHECKING:
    from torch import nn

SHAPES = {PNET: (1, *CANVAS, 4), RNET: (16, 24, 24, 3), ONET: (2, 48, 48, 3)}
"""Fixed ones: a shape that comes for the first time costs as much as ten that came before."""


def openvino_networks(workers: int = 1) -> Networks:
    """See `facecheck.detection.networks.Networks`.

    Args:
        workers: threads that use them at once; see `facecheck.engines.openvino.Requests`.

    Raises:
        ConversionError: OpenVINO cannot run the networks.
    """
    pnet, rnet, onet = (Requests(_converted(name), workers=workers).run for name in SHAPES)
    return Networks(pnet, rnet, onet, lambda: openvino_networks(best_workers()))


@functools.cache
def _converted(name: str) -> Any:
    def make() -> "tuple[nn.Module, tuple[int, ...]]":
        from facecheck.detection.mtcnn_torch import network

        return network(name), SHAPES[name]

    version = importlib.metadata.version("facenet-pytorch")
    return converted(f"facenet-pytorch {version} {name} {SHAPES[name]}", make)
