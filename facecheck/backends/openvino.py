"""The fast engine on CPUs: OpenVINO in float32, bfloat16 or int8."""

import copy
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from facecheck.backends import INT8, OPENVINO
from facecheck.backends.runtime import compiled, fastest_precision, openvino, processors
from facecheck.config import ModelConfig

LARGEST_BATCH = 16


class OpenVinoBackend:
    """See `facecheck.backends.Backend`.

    Args:
        network: an `openvino.Model`, (N, 3, S, S) float32, normalised -> (N, 1) logits; it is changed.
        config: of the model; gives input size and normalisation.
        precision: "f32", "bf16", or "int8" for a network that is quantised already; what it leaves in floats runs in
            the fastest precision of the processor.
        threads: None: as many as we may use, see `facecheck.backends.runtime.compiled`.
        reference: makes the same model with torch, for what needs gradients; called at most once, and only then.
    """

    engine, device = OPENVINO, "cpu"

    def __init__(
        self,
        network: Any,
        config: ModelConfig,
        precision: str,
        reference: "Callable[[], Any]",
        threads: int | None = None,
    ) -> None:
        self.name = f"openvino {precision}"
        self.lanes = 1
        floats = fastest_precision() if precision == INT8 else precision
        self._compile = functools.partial(compiled, _on_pixels(network, config), floats, threads)
        self._compiled = self._compile()
        self._mine = threading.local()
        self._make_reference, self._making = reference, threading.Lock()

    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, S, S, 3) uint8 RGB -> (N,) float32; positive = fake."""
        parts = [self._batch(faces[start : start + LARGEST_BATCH]) for start in range(0, len(faces), LARGEST_BATCH)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def last_features(self, faces: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `facecheck.backends.torch.TorchBackend.last_features`, which does it: OpenVINO has no gradients."""
        with self._making:
            reference = self._reference
        found: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] = reference.last_features(faces)
        return found

    def side_by_side(self) -> "OpenVinoBackend":
        """See `facecheck.backends.Backend`."""
        other = copy.copy(self)
        other.lanes = processors()
        other._compiled, other._mine = self._compile(lanes=other.lanes), threading.local()
        return other

    @functools.cached_property
    def _reference(self) -> Any:
        return self._make_reference()

    def _batch(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if not hasattr(self._mine, "request"):  # A request holds the buffers of one run: each thread has its own.
            self._mine.request = self._compiled.create_infer_request()
        found = self._mine.request.infer({0: np.ascontiguousarray(faces)})
        return np.asarray(found[0], np.float32).reshape(len(faces))


def _on_pixels(network: Any, config: ModelConfig) -> Any:
    """The network with the normalisation in front: (N, S, S, 3) uint8 RGB in."""
    ov = openvino()
    prepared = ov.preprocess.PrePostProcessor(network)
    prepared.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    prepared.input().model().set_layout(ov.Layout("NCHW"))
    steps = prepared.input().preprocess().convert_element_type(ov.Type.f32)
    steps.mean([value * 255 for value in config.mean]).scale([value * 255 for value in config.std])
    made = prepared.build()
    side = config.input_size
    made.reshape([ov.Dimension(1, LARGEST_BATCH), side, side, 3])
    return made
