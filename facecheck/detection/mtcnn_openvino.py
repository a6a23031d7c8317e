"""MTCNN's three networks on OpenVINO."""

import functools
import importlib.metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from facecheck.detection.cascade import CANVAS, Floats, NamedNetworks
from facecheck.engines.conversion import converted
from facecheck.engines.runtime import Requests, best_lanes

if TYPE_CHECKING:
    from torch import nn

SHAPES = {"pnet": (1, *CANVAS, 4), "rnet": (16, 24, 24, 3), "onet": (2, 48, 48, 3)}
"""Fixed ones: a shape that comes for the first time costs as much as ten that came before."""


class OpenVinoCascade(NamedNetworks):
    """See `facecheck.detection.cascade.Cascade`.

    Args:
        lanes: threads that use it at once; see `facecheck.engines.runtime.Requests`.

    Raises:
        ConversionError: OpenVINO cannot run the networks.
    """

    def __init__(self, lanes: int = 1) -> None:
        self._requests = {name: Requests(_converted(name), lanes=lanes) for name in SHAPES}

    def side_by_side(self) -> "OpenVinoCascade":
        """See `Cascade`."""
        return OpenVinoCascade(best_lanes())

    def _run(self, name: str, pixels: Floats) -> list[Floats]:
        with self._requests[name].borrowed() as request:
            taken, outputs = request.input_tensors[0].data, [tensor.data for tensor in request.output_tensors]
            found = [np.empty((len(pixels), *output.shape[1:]), np.float32) for output in outputs]
            for start in range(0, len(pixels), len(taken)):
                part = pixels[start : start + len(taken)]
                taken[: len(part)] = part
                request.infer()
                for whole, output in zip(found, outputs, strict=True):
                    whole[start : start + len(part)] = output[: len(part)]
        return found


@functools.cache
def _converted(name: str) -> Any:
    def make() -> "tuple[nn.Module, tuple[int, ...]]":
        from facecheck.detection.mtcnn_torch import network

        return network(name), SHAPES[name]

    version = importlib.metadata.version("facenet-pytorch")
    return converted(f"facenet-pytorch {version} {name} {SHAPES[name]}", make)
