"""The naive stack against facecheck on sets of pictures: throughput, latency, stages; and agreement.

That is, whether both see the same faces and say the same of them, on the pictures that are timed and on more.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from benchmarks.harness import Bar, Bench, Part, Table, median, ratio, seconds
from benchmarks.inputs import ALL, CROWDS, PHONE, PORTRAITS, PictureSet
from facecheck import calibration
from facecheck.model.config import Decision
from facecheck.result import Face, Prediction, Timing

SAME_FACE_IOU = 0.5
LARGE_PX = 40
AGREEMENT_BAR = 0.995
AGREEMENT_COLUMNS = (
    "faces of naive", "of facecheck", "of both", f"lost, >= {LARGE_PX} px", "same verdict, faces",
    "same verdict, pictures",
)  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """The naive stack and facecheck on the same pictures, counted. Verdicts are by the score alone.

    Attributes:
        matched: faces that both found, by an IoU of at least `SAME_FACE_IOU`.
        lost_large: faces of at least `LARGE_PX` pixels that only the naive stack found.
        same_faces, same_pictures: matched faces, and pictures, with the same verdict.
    """

    pictures: int
    naive_faces: int
    facecheck_faces: int
    matched: int
    lost_large: int
    same_faces: int
    same_pictures: int

    @property
    def face_share(self) -> float:
        """Of the matched faces, how many have the same verdict; NaN without any."""
        return self.same_faces / self.matched if self.matched else float("nan")

    @property
    def picture_share(self) -> float:
        """Of the pictures, how many have the same verdict; NaN without any."""
        return self.same_pictures / self.pictures if self.pictures else float("nan")


def agreement(pairs: Iterable[tuple[Prediction, Prediction]], decision: Decision) -> Agreement:
    """Compare predictions of the naive stack with those of facecheck, picture by picture."""
    both = [(by_score(naive, decision), by_score(ours, decision)) for naive, ours in pairs]
    matches = [matching(naive.faces, ours.faces) for naive, ours in both]
    lost = [
        face
        for (naive, _), match in zip(both, matches, strict=True)
        for index, face in enumerate(naive.faces)
        if index not in dict(match)
    ]
    return Agreement(
        pictures=len(both),
        naive_faces=sum(len(naive.faces) for naive, _ in both),
        facecheck_faces=sum(len(ours.faces) for _, ours in both),
        matched=sum(map(len, matches)),
        lost_large=sum(face.size_px >= LARGE_PX for face in lost),
        same_faces=sum(
            naive.faces[i].verdict == ours.faces[j].verdict
            for (naive, ours), match in zip(both, matches, strict=True)
            for i, j in match
        ),
        same_pictures=sum(naive.verdict == ours.verdict for naive, ours in both),
    )


def agreement_cells(found: Agreement) -> tuple[object, ...]:
    """For a table with `AGREEMENT_COLUMNS`."""
    counts = (found.naive_faces, found.facecheck_faces, found.matched, found.lost_large)
    return *counts, f"{found.face_share:.2%}", f"{found.picture_share:.2%}"


def agreement_bars(found: Agreement, where: str) -> list[Bar]:
    """Of faces and of pictures."""
    return [
        Bar(f"same verdict of a face, {where}", AGREEMENT_BAR, found.face_share),
        Bar(f"same verdict of a picture, {where}", AGREEMENT_BAR, found.picture_share),
    ]


def matching(first: Sequence[Face], second: Sequence[Face]) -> list[tuple[int, int]]:
    """Pairs of indices of the same face, each face at most once, with the largest sum of IoU."""
    if not first or not second:
        return []
    overlap = box_iou(*(torch.tensor([face.box for face in faces]) for faces in (first, second))).numpy()
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return [(int(i), int(j)) for i, j in pairs if overlap[i, j] >= SAME_FACE_IOU]


def by_score(prediction: Prediction, decision: Decision) -> Prediction:
    """The same with verdicts that no reason (too small, blurred ...) has turned into `uncertain`."""
    faces = tuple(
        replace(face, verdict=calibration.verdict(face.p_fake, decision), reasons=()) for face in prediction.faces
    )
    return replace(prediction, faces=faces)


@dataclass(frozen=True)
class Verdicts(Part):
    """All photos, and stored faces."""

    agreement: Agreement

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        row = (f"{self.agreement.pictures} photos and stored faces", *agreement_cells(self.agreement))
        return [Table("Agreement on more pictures", ("pictures", *AGREEMENT_COLUMNS), [row])]

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        return agreement_bars(self.agreement, f"{self.agreement.pictures} photos and stored faces")


def run_verdicts(bench: Bench) -> Verdicts:
    """Let both judge everything once; nothing is timed."""
    paths = (*bench.inputs.named(ALL).paths, *bench.inputs.stored_faces)
    pairs = zip(map(bench.naive.predict, paths), bench.checker.stream(paths), strict=True)
    return Verdicts(agreement(pairs, bench.checker.decision))


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


def run_contests(bench: Bench) -> Contests:
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
