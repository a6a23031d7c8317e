"""What all parts of the benchmark share: both stacks, loaded; rounds; tables and bars; what the machine is."""

import gc
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.inputs import Inputs, Settings
from benchmarks.naive import NaiveStack
from facecheck.checker import FaceChecker
from facecheck.engines import is_cpu
from facecheck.engines.runtime import processors
from training.markdown import table

Result = TypeVar("Result")


@dataclass(frozen=True)
class Bench:
    """Both sides, loaded, and the pictures; `folder` is for files that a part makes."""

    naive: NaiveStack
    checker: FaceChecker
    inputs: Inputs
    settings: Settings
    folder: Path

    @property
    def device(self) -> str:
        """Where the networks of both sides run, as torch names it."""
        return self.checker.classifier.choice.device

    def take_turns(self, contestants: Mapping[str, Callable[[], Result]]) -> dict[str, list[Result]]:
        """`alternating`, with the rounds of the settings."""
        return alternating(contestants, self.settings.rounds, self.settings.uncounted)

    @property
    def options(self) -> list[str]:
        """For a `facecheck` command that shall run on the same."""
        return ["--device", self.device, "--precision", self.checker.classifier.choice.precision]


REST_S = 0.05
"""After a run, until the threads of its pools sleep: they spin for a while and would take time from who comes next."""


def alternating(
    contestants: Mapping[str, Callable[[], Result]], rounds: int, uncounted: int = 1
) -> dict[str, list[Result]]:
    """Let every contestant run once a round, forwards and backwards by turns, after `uncounted` rounds to warm up.

    Returns:
        What each gave in each counted round.
    """
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(1 - uncounted, rounds + 1):
        for name in list(contestants) if number % 2 else reversed(list(contestants)):
            gc.collect()  # Nobody pays for the garbage of another.
            time.sleep(REST_S)
            result = contestants[name]()
            if number > 0:
                results[name].append(result)
    return results


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    """As a plain float."""
    return float(np.median(values))


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as long one takes as the other, by the medians of their rounds."""
    return median(slower) / median(faster)


@dataclass(frozen=True)
class Table:
    """Rows under a title; cells are words or numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]

    def __str__(self) -> str:
        return f"## {self.title}\n\n{table(self.columns, (map(_cell, row) for row in self.rows))}"


@dataclass(frozen=True)
class Bar:
    """What was wanted, and what was measured.

    Attributes:
        at_most: the measured value must not be above the wanted one; else it must not be below.
    """

    what: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """False also for NaN: what was not measured is not reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


@dataclass(frozen=True)
class Part:
    """The raw measurements of one part of the benchmark, which know how to show themselves."""

    def tables(self) -> list[Table]:
        """What a reader sees."""
        raise NotImplementedError

    def bars(self) -> list[Bar]:
        """What is asked of these numbers; empty if nothing is."""
        return []


def table_of(bars: list[Bar]) -> Table:
    """All bars, beside what was measured."""
    rows: list[tuple[object, ...]] = [
        (
            bar.what,
            f"{'<=' if bar.at_most else '>='} {bar.wanted:g}",
            f"{bar.measured:.4g}",
            "reached" if bar.reached else "not reached",
        )
        for bar in bars
    ]
    return Table("Bars", ("what", "wanted", "measured", ""), rows)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


PACKAGES = ("facecheck", "facenet-pytorch", "numpy", "opencv-python", "openvino", "pillow", "torch", "torchvision")
CPU_INFO = Path("/proc/cpuinfo")


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, GPU if the device is one, threads, memory, load before the run, versions."""
    return {
        "gpu": None if is_cpu(device) else torch.cuda.get_device_name(device),
        "cpu": _cpu(),
        "processors": processors(),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_before": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    text = CPU_INFO.read_text() if CPU_INFO.is_file() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
