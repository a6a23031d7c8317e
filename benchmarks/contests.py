"""The naive stack against facecheck on sets of pictures: throughput, latency, stages, agreement; and as work grows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.agreement import AGREEMENT_COLUMNS, LARGE_PX, Agreement, agreement, agreement_bars, agreement_cells
from benchmarks.harness import Bar, Bench, Part, Table, median, ratio, seconds
from benchmarks.inputs import ALL, CROWDS, ONE_ROUND_FROM, PHONE, PORTRAITS, PictureSet
from facecheck.result import Prediction, Timing

THROUGHPUT_BARS = {PORTRAITS: 5.0, PHONE: 12.0, CROWDS: 6.0}
LATENCY_BAR = 4.0


@dataclass(frozen=True)
class Contest:
    """One set of pictures.

    Attributes:
        megapixels: of a picture, on average.
        naive_s, single_s: seconds of each picture in each round, one call for each: (rounds, pictures).
        folder_s: seconds that facecheck takes in each round for all of them in one stream; where that holds them
            `repeats` times, a share of its time.
        stages_ms: by stack: milliseconds to decode, detect, and cut and classify in single calls, medians.
    """

    name: str
    pictures: int
    megapixels: float
    repeats: int
    naive_s: list[list[float]]
    folder_s: list[float]
    single_s: list[list[float]]
    stages_ms: dict[str, tuple[float, float, float]]
    agreement: Agreement

    @property
    def naive_folder_s(self) -> list[float]:
        """Seconds that the naive stack takes for all of them, by round."""
        return [sum(each) for each in self.naive_s]

    @property
    def throughput_ratio(self) -> float:
        """How many times as many pictures a second."""
        return ratio(self.naive_folder_s, self.folder_s)

    @property
    def latency_ms(self) -> tuple[float, float]:
        """Of the naive stack and of facecheck: each picture's median over the rounds, and the median of those."""
        naive, ours = (median(np.median(rounds, axis=0).tolist()) for rounds in (self.naive_s, self.single_s))
        return 1000 * naive, 1000 * ours

    @property
    def latency_ratio(self) -> float:
        """How many times as soon an answer comes."""
        naive, ours = self.latency_ms
        return naive / ours


@dataclass(frozen=True)
class Contests(Part):
    """All of them."""

    sets: list[Contest]

    @property
    def phone_ratio(self) -> float:
        """Throughput over the phone photos of all sizes, each set taking the time that it took."""
        phones = [contest for contest in self.sets if contest.name.startswith(PHONE)]
        return sum(median(each.naive_folder_s) for each in phones) / sum(median(each.folder_s) for each in phones)

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        return [self._throughput(), self._latency(), self._stages(), self._agreement()]

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        phones = Bar("throughput, phone photos of all sizes together", THROUGHPUT_BARS[PHONE], self.phone_ratio)
        bars = [phones, *(_throughput_bar(each) for each in self.sets if _kind(each) in THROUGHPUT_BARS)]
        bars += [Bar(f"single-call latency, {each.name}", LATENCY_BAR, each.latency_ratio) for each in self.sets]
        (photos,) = (contest.agreement for contest in self.sets if contest.name == ALL)
        return [
            *bars,
            Bar(f"faces of {LARGE_PX} px that only the naive stack finds, {ALL}", 0, photos.lost_large, at_most=True),
            *agreement_bars(photos, ALL),
        ]

    def _throughput(self) -> Table:
        columns = ("set", "pictures", "times", "megapixels", "naive, pictures/s", "facecheck, pictures/s", "ratio")
        return Table("A folder", columns, [_throughput_row(each) for each in self.sets])

    def _latency(self) -> Table:
        columns = ("set", "naive, ms", "facecheck, ms", "ratio")
        return Table("One call", columns, [(each.name, *each.latency_ms, each.latency_ratio) for each in self.sets])

    def _stages(self) -> Table:
        stages = ("decode", "detect", "cut and classify")
        columns = ("set", *(f"{stack}: {stage}, ms" for stack in ("naive", "facecheck") for stage in stages))
        rows = [(each.name, *each.stages_ms["naive"], *each.stages_ms["facecheck"]) for each in self.sets]
        return Table("Stages of one call", columns, list(rows))

    def _agreement(self) -> Table:
        rows = [(each.name, *agreement_cells(each.agreement)) for each in self.sets]
        return Table("Agreement", ("set", *AGREEMENT_COLUMNS), list(rows))


def run(bench: Bench) -> Contests:
    """Let both judge every set."""
    return Contests([contest(bench, group) for group in bench.inputs.sets])


def contest(bench: Bench, group: PictureSet) -> Contest:
    """Let both judge one set, in rounds."""
    paths, repeats = group.paths, group.repeats(bench.settings.folder)
    passes = bench.take_turns(
        {
            "naive": lambda: _one_by_one(bench.naive.predict, paths),
            "folder": lambda: _together(bench, paths * repeats),
            "single": lambda: _one_by_one(bench.checker.predict, paths),
        }
    )
    times = {name: [each for each, _ in rounds] for name, rounds in passes.items()}
    answers = {name: [answer for _, given in rounds for answer in given] for name, rounds in passes.items()}
    pairs = zip(answers["naive"][: len(paths)], answers["folder"][: len(paths)], strict=True)
    return Contest(
        group.name,
        len(paths),
        _megapixels(answers["naive"]),
        repeats,
        times["naive"],
        [whole / repeats for (whole,) in times["folder"]],
        times["single"],
        {"naive": _stages(answers["naive"]), "facecheck": _stages(answers["single"])},
        agreement(pairs, bench.checker.decision),
    )


def _one_by_one(predict: Callable[[Path], Prediction], paths: Sequence[Path]) -> tuple[list[float], list[Prediction]]:
    answers: list[Prediction] = []
    times = [seconds(lambda path=path: answers.append(predict(path))) for path in paths]  # type: ignore[misc]
    return times, answers


def _together(bench: Bench, paths: Sequence[Path]) -> tuple[list[float], list[Prediction]]:
    answers: list[Prediction] = []
    return [seconds(lambda: answers.extend(bench.checker.stream(paths)))], answers


def _stages(answers: Sequence[Prediction]) -> tuple[float, float, float]:
    timings: list[Timing] = [answer.timing_ms for answer in answers]
    return (
        median([timing.decode for timing in timings]),
        median([timing.detect for timing in timings]),
        median([timing.classify for timing in timings]),
    )


def _megapixels(answers: Sequence[Prediction]) -> float:
    return float(np.mean([np.prod(answer.size) / 1e6 for answer in answers if answer.size is not None]))


def _kind(contest: Contest) -> str:
    return PHONE if contest.name.startswith(PHONE) else contest.name


def _throughput_bar(contest: Contest) -> Bar:
    return Bar(f"throughput, {contest.name}", THROUGHPUT_BARS[_kind(contest)], contest.throughput_ratio)


def _throughput_row(contest: Contest) -> tuple[object, ...]:
    speeds = (contest.pictures / median(times) for times in (contest.naive_folder_s, contest.folder_s))
    return contest.name, contest.pictures, contest.repeats, contest.megapixels, *speeds, contest.throughput_ratio


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


def run_growth(bench: Bench) -> Growth:
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
