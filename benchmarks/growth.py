"""What a picture costs as there are more of them, and a face as there are more in a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from benchmarks.harness import Bench, Part, Table, median, seconds
from benchmarks.inputs import ONE_ROUND_FROM

Rounds = dict[str, list[float]]


@dataclass(frozen=True)
class Growth(Part):
    """Seconds in each round, by stack.

    Attributes:
        pictures_s: by the number of small pictures: for all of them.
        faces_s: by the number of faces in a mosaic of always the same size: for one call.
    """

    pictures_s: dict[int, Rounds]
    faces_s: dict[int, Rounds]

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        stacks = ("naive, ms", "facecheck, ms")
        pictures = [(count, *_ms(times, count)) for count, times in self.pictures_s.items()]
        faces = [(count, *_ms(times, 1), *_ms(times, count)) for count, times in self.faces_s.items()]
        return [
            Table(
                "A small picture among many", ("pictures", *(f"{stack} a picture" for stack in stacks)), list(pictures)
            ),
            Table(
                "A picture with many faces",
                ("faces", *(f"{stack} a picture" for stack in stacks), *(f"{stack} a face" for stack in stacks)),
                list(faces),
            ),
        ]


def run(bench: Bench) -> Growth:
    """Measure both."""
    return Growth(
        {count: _pictures(bench, count) for count in bench.settings.picture_counts},
        {count: bench.take_turns(_callers(bench, [path], single=True)) for count, path in bench.inputs.mosaics.items()},
    )


def _pictures(bench: Bench, count: int) -> Rounds:
    callers = _callers(bench, list(islice(cycle(bench.inputs.small), count)))
    if count < ONE_ROUND_FROM:
        return bench.take_turns(callers)
    return {"facecheck": [callers["facecheck"]()]}


def _callers(bench: Bench, paths: Sequence[Path], single: bool = False) -> dict[str, Callable[[], float]]:
    ours = bench.checker
    return {
        "naive": lambda: seconds(lambda: [bench.naive.predict(path) for path in paths]),
        "facecheck": lambda: seconds(lambda: ours.predict(paths[0]) if single else list(ours.stream(paths))),
    }


def _ms(times: Rounds, count: int) -> list[object]:
    """Milliseconds of both stacks for each of so many, or nothing where a stack did not take part."""
    return [1000 * median(times[stack]) / count if stack in times else "" for stack in ("naive", "facecheck")]
