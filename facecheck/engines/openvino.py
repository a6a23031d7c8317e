"""The fast engine on CPUs: OpenVINO in float32, bfloat16 or int8."""

import copy
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from facecheck.engines import BF16, F32, OPENVINO
from facecheck.engines.runtime import Requests, best_lanes, openvino, threads_of_a_lane
from facecheck.model.config import ModelConfig

LARGEST_BATCH = 16


class OpenVinoBackend:
    """See `facecheck.engines.Backend`.

    Args:
        network: an `openvino.Model`, (N, 3, S, S) float32, normalised -> (N, 1) logits; it is changed.
        config: of the model; gives input size and normalisation.
        precision: "f32", "bf16", or "int8" for a network that is quantised already.
        threads: None: as many as we may use, see `facecheck.engines.runtime.Requests`.
        reference: makes the same model with torch, for what needs gradients; called at most once, and only then.
        exact: makes the `openvino.Model` in float32, for second looks; called at most once, and only then.
        margin: see `Backend.margin`.
    """

    engine, device = OPENVINO, "cpu"

    def __init__(
        self,
        network: Any,
        config: ModelConfig,
        precision: str,
        reference: "Callable[[], Any]",
        exact: "Callable[[], Any]",
        margin: float = 0.0,
        threads: int | None = None,
    ) -> None:
        self.name, self.lanes, self.margin = f"openvino {precision}", 1, margin
        # What an int8 network leaves in floats stays f32, so that its measured losses hold on every processor.
        floats = BF16 if precision == BF16 else F32
        self._prepare = functools.partial(Requests, _on_pixels(network, config), floats, threads)
        self._prepare_exact = functools.cache(lambda threads: Requests(_on_pixels(exact(), config), F32, threads))
        self._requests, self._exact_threads = self._prepare(), threads
        self._make_reference, self._making = functools.cache(reference), threading.Lock()

    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, S, S, 3) uint8 RGB -> (N,) float32; positive = fake."""
        return _logits(self._requests, faces)

    def second_look(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `facecheck.engines.Backend`."""
        with self._making:
            exact = self._prepare_exact(self._exact_threads)
        return _logits(exact, faces)

    def last_features(self, faces: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `facecheck.engines.torch.TorchBackend.last_features`, which does it: OpenVINO has no gradients."""
        with self._making:
            reference = self._make_reference()
        found: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] = reference.last_features(faces)
        return found

    def side_by_side(self) -> "OpenVinoBackend":
        """See `facecheck.engines.Backend`."""
        other = copy.copy(self)
        other.lanes = best_lanes()
        # Second looks are few: the lanes share one network for them.
        other._requests, other._exact_threads = self._prepare(lanes=other.lanes), threads_of_a_lane()
        return other


def _logits(requests: Requests, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    parts = [np.empty(0, np.float32)]
    for start in range(0, len(faces), LARGEST_BATCH):
        batch = np.ascontiguousarray(faces[start : start + LARGEST_BATCH])
        with requests.borrowed() as request:
            parts.append(np.array(request.infer({0: batch})[0], np.float32).reshape(len(batch)))
    return np.concatenate(parts)


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
