"""MTCNN's three networks behind one interface, and the choice of their engine."""

import functools
import importlib.metadata
import threading
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from facecheck.backends.conversion import FREE, converted
from facecheck.backends.runtime import compiled

Floats = npt.NDArray[np.float32]
HIDDEN = -1e6
"""In the fourth plane of a canvas: less than anything that PNet's first layer gives."""
CANVAS = (288, 320)
SHAPES = {"pnet": (1, *CANVAS, 4), "rnet": (16, 24, 24, 3), "onet": (4, 48, 48, 3)}


class Cascade(Protocol):
    """The three networks. Pixels are float32 in [0, 255], RGB. Safe to use from several threads at once."""

    def propose(self, canvas: Floats) -> tuple[Floats, Floats]:
        """PNet over a canvas on which pictures may lie side by side.

        Args:
            canvas: (1, H, W, 4), both sides at least 12. The fourth plane is added to what the first convolution gives
                at the windows that start there; `HIDDEN` keeps them from the pooling.

        Returns:
            offsets (1, 4, h, w) and scores (1, h, w) of the cells.
        """
        ...

    def refine(self, patches: Floats) -> tuple[Floats, Floats]:
        """RNet: (N, 24, 24, 3) -> offsets (N, 4), scores (N,)."""
        ...

    def decide(self, patches: Floats) -> tuple[Floats, Floats, Floats]:
        """ONet: (N, 48, 48, 3) -> offsets (N, 4), scores (N,), landmarks (N, 5, 2) xy in sides of the box."""
        ...


class OpenVinoCascade:
    """See `Cascade`. In float32: another precision would move the boxes."""

    def __init__(self, threads: int | None = None) -> None:
        self._compiled = {name: compiled(_converted(name), threads=threads) for name in SHAPES}
        self._mine = threading.local()

    def propose(self, canvas: Floats) -> tuple[Floats, Floats]:
        """See `Cascade`."""
        offsets, scores = self._run("pnet", canvas)
        return offsets, scores

    def refine(self, patches: Floats) -> tuple[Floats, Floats]:
        """See `Cascade`."""
        offsets, scores = self._run("rnet", patches)
        return offsets, scores

    def decide(self, patches: Floats) -> tuple[Floats, Floats, Floats]:
        """See `Cascade`."""
        offsets, scores, points = self._run("onet", patches)
        return offsets, scores, points

    def _run(self, name: str, pixels: Floats) -> list[Floats]:
        requests = self._mine.__dict__
        if name not in requests:  # A request holds the buffers of one run: each thread has its own.
            requests[name] = self._compiled[name].create_infer_request()
        request = requests[name]
        taken, outputs = request.input_tensors[0].data, [tensor.data for tensor in request.output_tensors]
        found = [np.empty((len(pixels), *output.shape[1:]), np.float32) for output in outputs]
        for start in range(0, len(pixels), len(taken)):
            part = pixels[start : start + len(taken)]
            taken[: len(part)] = part
            request.infer()
            for whole, output in zip(found, outputs, strict=True):
                whole[start : start + len(part)] = output[: len(part)]
        return found

def _converted(name: str) -> Any:
    def make() -> Any:
        from facecheck.backends.mtcnn import NAMES, networks

        return networks()[NAMES.index(name)], SHAPES[name]

    return converted(f"facenet-pytorch {importlib.metadata.version('facenet-pytorch')} {name} {SHAPES[name]}", make)


def cascade(engine: str, device: str) -> Cascade:
    return OpenVinoCascade()
