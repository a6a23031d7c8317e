"""OpenVINO itself: imported without its telemetry, one core for the process, and as many threads as we may use."""

import functools
import importlib.util
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facecheck.errors import DeviceError

TELEMETRY = "openvino_telemetry"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
F32, BF16 = "f32", "bf16"
MAX_WORKERS = 8
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


def processors() -> int:
    """How many processors this process may keep busy."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, thread_limit() or allowed)


def best_workers() -> int:
    """How many threads should judge at once: one for each processor, up to a number that memory bears."""
    return processors() // threads_per_worker()


def threads_per_worker() -> int:
    """How many processors each of `best_workers` gets, so that few are left over."""
    return math.ceil(processors() / MAX_WORKERS)


def thread_limit() -> int | None:
    """How many threads this process was told to use, None without a limit: by `OMP_NUM_THREADS`, or by a CPU quota.

    torch obeys the variable, Ray sets it for its actors, and OpenVINO does not read it. Nor does OpenVINO know the
    quota of a container (openvinotoolkit/openvino#37838); the processors that a process is bound to it does respect.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if limit.isdigit() and int(limit):
        return int(limit)
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(math.ceil(int(quota) / int(period)), 1)
    except (OSError, ValueError):  # No such file, or "max".
        return None
