"""What a command costs besides its pictures: seconds to the first verdict, memory, and what it asks of a GPU."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import Bar, Bench, Part, Table, median, ratio
from benchmarks.inputs import PHONE, PORTRAITS
from facecheck.files import CACHE_VARIABLE

ROOT = Path(__file__).parents[1]
WATCHED = "import benchmarks; benchmarks.run_watched()"
MIB = 1 << 20
GROWTH_BAR, AGAIN_BAR = 1.10, 50.0


def first_line_s(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds from the start of `python ARGUMENTS...` to its first line of output.

    Raises:
        RuntimeError: it failed, or said nothing.
    """
    command = [sys.executable, *arguments]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken = time.perf_counter() - started
        process.stdout.read()
    if process.returncode or not line:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return taken


def seconds_and_peak(module: str, arguments: Sequence[str]) -> tuple[float, int]:
    """Wall-clock seconds of `python -m MODULE ARGUMENTS...`, and the most memory that it held, bytes.

    Raises:
        RuntimeError: it failed; with what it wrote to its standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        peak = Path(folder) / "peak"
        command = [sys.executable, "-c", WATCHED, str(peak), module, *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{module} {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return taken, int(peak.read_text())


@dataclass(frozen=True)
class Memory(Part):
    """Peaks in bytes, by set: of the naive stack and of facecheck."""

    peaks: dict[str, tuple[int, int]]

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        rows = [(name, naive / MIB, ours / MIB) for name, (naive, ours) in self.peaks.items()]
        return [Table("Peak memory", ("pictures", "naive, MiB", "facecheck, MiB"), list(rows))]


@dataclass(frozen=True)
class Scan:
    """One run of `facecheck scan`, with the start of its process."""

    what: str
    pictures: int
    seconds: float
    peak: int


@dataclass(frozen=True)
class Scans(Part):
    """Two folders, and the larger one once more."""

    smaller: Scan
    larger: Scan
    again: Scan

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        rows = [
            (run.what, run.pictures, run.seconds, run.peak / MIB) for run in (self.smaller, self.larger, self.again)
        ]
        return [Table("facecheck scan", ("run", "pictures", "seconds", "peak, MiB"), list(rows))]

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        counts = f"{self.larger.pictures} pictures against {self.smaller.pictures}"
        return [
            Bar(f"peak memory of scan, {counts}", GROWTH_BAR, self.larger.peak / self.smaller.peak, at_most=True),
            Bar(
                f"second scan of {self.again.pictures}, times as fast",
                AGAIN_BAR,
                self.larger.seconds / self.again.seconds,
            ),
        ]


def run_memory(bench: Bench) -> Memory:
    """Measure both stacks on all portraits, and on one phone photo of each size."""
    chosen = {PORTRAITS: bench.inputs.named(PORTRAITS).paths}
    chosen |= {f"one of {each.name}": each.paths[:1] for each in bench.inputs.sets if each.name.startswith(PHONE)}
    return Memory({name: _peaks(bench, [str(path) for path in paths]) for name, paths in chosen.items()})


def run_scans(bench: Bench) -> Scans:
    """Scan small pictures."""
    few, many = (_folder(bench, count) for count in bench.settings.scans)
    runs = {"smaller": few, "larger": many, "larger, unchanged": many}
    return Scans(*(_scan(bench, what, folder) for what, folder in runs.items()))


def _peaks(bench: Bench, paths: list[str]) -> tuple[int, int]:
    _, naive = seconds_and_peak("benchmarks.harness", [*paths, "--device", bench.device])
    _, ours = seconds_and_peak("facecheck", ["predict", *paths, *bench.options])
    return naive, ours


def _folder(bench: Bench, count: int) -> Path:
    folder = bench.folder / f"scan-{count}"
    folder.mkdir()
    for number, path in enumerate(islice(cycle(bench.inputs.small), count)):
        os.link(path, folder / f"{number:06}.jpg")
    return folder


def _scan(bench: Bench, what: str, folder: Path) -> Scan:
    rows = folder.with_suffix(".jsonl")
    taken, peak = seconds_and_peak("facecheck", ["scan", str(folder), "--out", str(rows), *bench.options])
    with rows.open() as lines:
        pictures = sum(1 for _ in lines)
    return Scan(what, pictures, taken, peak)


@dataclass(frozen=True)
class Starts(Part):
    """Seconds to the first verdict in each round; files are in memory already.

    Attributes:
        first_s: of the very first start, which converts the networks for OpenVINO.
    """

    first_s: float
    naive_s: list[float]
    facecheck_s: list[float]

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        rows: list[tuple[object, ...]] = [
            ("naive script", median(self.naive_s)),
            ("facecheck predict", median(self.facecheck_s)),
            ("facecheck predict, the very first time", self.first_s),
        ]
        return [Table("Cold start, to the first verdict", ("who", "seconds"), rows)]

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        return [Bar("cold start, naive over facecheck", 1, ratio(self.naive_s, self.facecheck_s))]


def run_starts(bench: Bench) -> Starts:
    """Start both, in rounds, with a cache of converted networks that only the very first start has to fill."""
    photo = str(bench.inputs.named(PORTRAITS).paths[0])
    environment = {CACHE_VARIABLE: str(bench.folder / "cache")}
    naive = ["-m", "benchmarks.harness", photo, "--device", bench.device]
    ours = ["-m", "facecheck", "predict", photo, *bench.options]
    first_s = first_line_s(ours, environment)
    times = bench.take_turns(
        {"naive": lambda: first_line_s(naive, environment), "facecheck": lambda: first_line_s(ours, environment)}
    )
    return Starts(first_s, times["naive"], times["facecheck"])


COPIES = ("Memcpy HtoD", "Memcpy DtoH")
NEITHER = ("Memcpy", "Memset")


@dataclass(frozen=True)
class Asked:
    """Of a GPU, as CUPTI counts it: on average for a picture."""

    kernels: float
    copies_there: float
    copies_back: float


@dataclass(frozen=True)
class Launches(Part):
    """By set: one picture at a time by the naive stack, by facecheck, and all in one stream by facecheck.

    On a CPU everything is 0.
    """

    asked: dict[str, tuple[Asked, Asked, Asked]]

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        columns = ("set", "who", "kernels", "copies to the GPU", "copies from it")
        rows: list[tuple[object, ...]] = [
            (name, who, each.kernels, each.copies_there, each.copies_back)
            for name, counts in self.asked.items()
            for who, each in zip(("naive", "facecheck", "facecheck, a folder"), counts, strict=True)
        ]
        return [Table("What a picture asks of the GPU", columns, rows)]


def run_launches(bench: Bench) -> Launches:
    """Count; nothing is timed."""
    return Launches({group.name: _of_set(bench, group.paths) for group in bench.inputs.sets})


def counted(events: Iterable[FunctionEvent], pictures: int) -> Asked:
    """What a profile holds of a GPU's work, for one of so many pictures."""
    names = [event.name for event in events if event.device_type.name == "CUDA" and not event.is_user_annotation]
    there, back = (sum(name.startswith(kind) for name in names) for kind in COPIES)
    kernels = sum(not name.startswith(NEITHER) for name in names)
    return Asked(kernels / pictures, there / pictures, back / pictures)


def _of_set(bench: Bench, paths: Sequence[Path]) -> tuple[Asked, Asked, Asked]:
    works: tuple[Callable[[], object], ...] = (
        lambda: [bench.naive.predict(path) for path in paths],
        lambda: [bench.checker.predict(path) for path in paths],
        lambda: list(bench.checker.stream(paths)),
    )
    naive, single, folder = (_asked(work, len(paths)) for work in works)
    return naive, single, folder


def _asked(work: Callable[[], object], pictures: int) -> Asked:
    work()  # Libraries try out their kernels when a shape comes for the first time.
    if not torch.cuda.is_available():
        return Asked(0, 0, 0)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
    return counted(found.events() or (), pictures)
