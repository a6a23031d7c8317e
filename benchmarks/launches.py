"""What both stacks ask of a GPU for one picture: kernels that are launched, copies there and back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import Bench, Part, Table

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


def run(bench: Bench) -> Launches:
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
