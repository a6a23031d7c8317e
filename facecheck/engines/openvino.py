"""The fast engine on CPUs: OpenVINO in float32, bfloat16 or int8."""

import copy
import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from facecheck.engines import BF16, F32, OPENVINO, Choice
from facecheck.engines.runtime import best_workers, core, openvino, thread_limit, threads_per_worker
from facecheck.model.config import ModelConfig

LARGEST_BATCH = 16


class Requests:
    """A network compiled for the CPU, for any number of threads: a request holds the buffers of one run.

    Each worker gets a compiled network of its own. Workers that share one hand their work over to its threads and wait
    to be woken, a dozen times a picture; a network of one worker runs in the thread that asks.

    Args:
        network: an `openvino.Model`.
        precision: "f32" or "bf16"; of what is not quantised already.
        threads: of one request; None: for one worker all that we may use, for several an even share.
        workers: threads that will ask at once. One alone on all processors is answered sooner, but stands still
            whenever one of them is busy with something else.
    """

    def __init__(self, network: Any, precision: str = F32, threads: int | None = None, workers: int = 1) -> None:
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if workers > 1:
            threads = threads or threads_per_worker()
            settings["ENABLE_CPU_PINNING"] = False  # The threads that ask are not pinned either.
        if limit := threads or thread_limit():
            settings["INFERENCE_NUM_THREADS"] = limit
        self._compiled = [core().compile_model(network, "CPU", settings) for _ in range(workers)]
        self._turns = itertools.count()
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for each in self._compiled:
            self._idle.put(each.create_infer_request())

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """An `openvino.InferRequest` that nobody else uses meanwhile."""
        try:
            request = self._idle.get_nowait()
        except Empty:  # More threads than were announced.
            request = self._compiled[next(self._turns) % len(self._compiled)].create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)

    def run(self, pixels: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], ...]:
        """All outputs for any number of inputs, in batches of the size that the network was compiled for."""
        with self.borrowed() as request:
            taken, outputs = request.input_tensors[0].data, [tensor.data for tensor in request.output_tensors]
            found = tuple(np.empty((len(pixels), *output.shape[1:]), np.float32) for output in outputs)
            for start in range(0, len(pixels), len(taken)):
                part = pixels[start : start + len(taken)]
                taken[: len(part)] = part
                request.infer()
                for whole, output in zip(found, outputs, strict=True):
                    whole[start : start + len(part)] = output[: len(part)]
        return found


class OpenVinoEngine:
    """See `facecheck.engines.Engine`.

    Args:
        network: an `openvino.Model`, (N, 3, S, S) float32, normalised -> (N, 1) logits; it is changed.
        config: of the model; gives input size and normalisation.
        precision: "f32", "bf16", or "int8" for a network that is quantised already.
        threads: None: as many as we may use, see `Requests`.
    """

    def __init__(self, network: Any, config: ModelConfig, precision: str, *, threads: int | None = None) -> None:
        self.choice, self.workers = Choice(OPENVINO, precision), 1
        # What an int8 network leaves in floats stays f32, so that its measured losses hold on every processor.
        floats = BF16 if precision == BF16 else F32
        self._compile = functools.partial(Requests, _on_pixels(network, config), floats, threads)
        self._requests = self._compile()

    def for_workers(self) -> "OpenVinoEngine":
        """See `facecheck.engines.Engine`."""
        other = copy.copy(self)
        other.workers = best_workers()
        other._requests = self._compile(workers=other.workers)
        return other

    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `facecheck.engines.Engine`."""
        parts = [np.empty(0, np.float32)]
        for start in range(0, len(faces), LARGEST_BATCH):
            batch = np.ascontiguousarray(faces[start : start + LARGEST_BATCH])
            with self._requests.borrowed() as request:
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
