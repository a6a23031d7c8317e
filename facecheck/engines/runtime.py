"""OpenVINO itself: imported without its telemetry, one core for the process, and as many threads as we may use."""

import functools
import importlib.util
import itertools
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from facecheck.errors import DeviceError

TELEMETRY = "openvino_telemetry"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
F32, BF16 = "f32", "bf16"
MOST_LANES = 8
_importing = threading.Lock()


def installed() -> bool:
    """Whether OpenVINO can be imported; asking does not import it."""
    return importlib.util.find_spec("openvino") is not None


@functools.cache
def openvino() -> Any:
    """The module `openvino`.

    On import it reports to Google Analytics unless its user opted out, and nothing may leave this machine.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        with no_telemetry():
            import openvino as module
            import openvino.tools.ovc

            # The binding fills its table of number types on first use, and lets go of the GIL meanwhile: of two threads
            # that begin together one holds the table and waits for the GIL, the other the other way round, for ever.
            module.Tensor(np.zeros(1, np.float32)).data  # noqa: B018
    except ImportError as error:
        raise DeviceError(f'no OpenVINO here ({error}): pip install "facecheck[openvino]"') from error
    return module


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Imports in this block do not find the package that reports to Google Analytics, and go on without it."""
    with _importing:
        found = sys.modules.get(TELEMETRY)
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
        try:
            yield
        finally:
            if found is None:
                del sys.modules[TELEMETRY]
            else:
                sys.modules[TELEMETRY] = found


@functools.cache
def core() -> Any:
    """The `openvino.Core` that all models of this process share; safe to use from several threads.

    Raises:
        DeviceError: OpenVINO is not installed.
    """
    return openvino().Core()


def fastest_precision() -> str:
    """What this processor computes in natively: "bf16", or else "f32"."""
    return BF16 if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else F32


class Requests:
    """A network compiled for the CPU, for any number of threads: a request holds the buffers of one run.

    Each lane gets a compiled network of its own. Lanes that share one hand their work over to its threads and wait to
    be woken, a dozen times a picture; a network of one lane runs in the thread that asks.

    Args:
        network: an `openvino.Model`.
        precision: "f32" or "bf16"; of what is not quantised already.
        threads: of one request; None: for one lane all that we may use, for several an even share.
        lanes: threads that will ask at once. One alone on all processors is answered sooner, but stands still whenever
            one of them is busy with something else.
    """

    def __init__(self, network: Any, precision: str = F32, threads: int | None = None, lanes: int = 1) -> None:
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if lanes > 1:
            threads = threads or threads_of_a_lane()
            settings["ENABLE_CPU_PINNING"] = False  # The threads that ask are not pinned either.
        if limit := threads or thread_limit():
            settings["INFERENCE_NUM_THREADS"] = limit
        self._compiled = [core().compile_model(network, "CPU", settings) for _ in range(lanes)]
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


def processors() -> int:
    """How many processors this process may keep busy."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, thread_limit() or allowed)


def best_lanes() -> int:
    """How many threads should judge at once: one for each processor, up to a number that memory bears."""
    return processors() // threads_of_a_lane()


def threads_of_a_lane() -> int:
    """How many processors each of `best_lanes` gets, so that few are left over."""
    return math.ceil(processors() / MOST_LANES)


def thread_limit() -> int | None:
    """How many threads this process was told to use, None without a limit: by `OMP_NUM_THREADS`, or by a CPU quota.

    torch obeys the variable, Ray sets it for its actors, and OpenVINO does not read it. Nor does OpenVINO know the
    quota of a container (openvinotoolkit/openvino#37838); the processors that a process is bound to it does respect.
    """
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if told.isdigit() and int(told):
        return int(told)
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(math.ceil(int(quota) / int(period)), 1)
    except (OSError, ValueError):  # No such file, or "max".
        return None
