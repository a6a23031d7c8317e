"""Seconds that mean the same on every machine: bounds are stated for one, and others are measured against it."""

import gc
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

REFERENCE_S = 0.008
"""Of `_known_work` on the machine that the bounds are stated for: a core of a server of 2023, alone on it."""


def _known_work() -> float:
    started = time.thread_time()
    table: dict[int, int] = {}
    for n in range(20_000):
        table[n & 1023] = struct.unpack(">I", struct.pack(">I", n))[0] + table.get(n * 7 & 1023, 0) % 97
    zlib.crc32(bytes(1 << 20))
    return time.thread_time() - started


def slowness() -> float:
    """How many times slower than the reference this processor is now, beside what else it does; at least 1."""
    return max(1.0, min(_known_work() for _ in range(3)) / REFERENCE_S)


def reference_seconds(work: Callable[[], object], rounds: int = 2) -> float:
    """CPU seconds of this thread for `work` on the reference machine: the least of the rounds, others only add.

    Neither what coverage adds to every line counts, nor the garbage of other tests.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    gc.disable()
    try:
        return min(_scaled(work) for _ in range(rounds))
    finally:
        gc.enable()
        sys.settrace(tracer)


def _scaled(work: Callable[[], object]) -> float:
    before, started = slowness(), time.thread_time()
    work()
    spent = time.thread_time() - started
    return spent / max(before, slowness())


def reference_seconds_of_command(arguments: Sequence[str], cwd: Path | None = None) -> tuple[float, str]:
    """CPU seconds of a Python process on the reference machine, and what it prints. It has to succeed."""
    before, started = slowness(), _of_children()
    told = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout
    return (_of_children() - started) / max(before, slowness()), told


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
