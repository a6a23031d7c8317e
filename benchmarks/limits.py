"""The parts of facecheck, each against the most that the library below it gives; and both stacks as the work grows."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from benchmarks.engines import Pixels, bare_runner, cut_faces, repeated, stage_runner
from benchmarks.harness import Bar, Bench, Part, Table, median, seconds
from benchmarks.inputs import ALL, ONE_ROUND_FROM, PORTRAITS, PictureSet
from facecheck import crop, image
from facecheck.batching import WORKER_PICTURES, decode, groups
from facecheck.checker import FaceChecker
from facecheck.engines.runtime import processors
from facecheck.model import read_model

BARE_BATCHES = (1, WORKER_PICTURES, 16)
STAGE_BAR, FOLDER_BAR = 0.85, 0.70


@dataclass(frozen=True)
class Folder:
    """One set: seconds in each round for all its pictures.

    Attributes:
        folder_s: through everything. known_s: the same with the boxes given in place of detection.
        decode_s: only decoded, by Pillow.
    """

    name: str
    pictures: int
    faces: int
    folder_s: list[float]
    known_s: list[float]
    decode_s: list[float]

    def shares(self, bare_face_s: float) -> tuple[float, float]:
        """Of the speed of the slower of decoding alone and classifying alone: with detection, and without."""
        slower_s = max(median(self.decode_s), self.faces * bare_face_s)
        return slower_s / median(self.folder_s), slower_s / median(self.known_s)


@dataclass(frozen=True)
class Limits(Part):
    """What the parts take, and what the libraries below them would take.

    Attributes:
        engine: of the classifier.
        parts_ms: milliseconds a portrait in each round, by part, one after the other.
        stage_s: seconds a face in each round: facecheck's classifier, `WORKER_PICTURES` faces at a time.
        bare_s: the same for the engine alone, by its batch.
    """

    engine: str
    parts_ms: dict[str, list[float]]
    stage_s: list[float]
    bare_s: dict[int, list[float]]
    folders: list[Folder]

    @property
    def best_bare_s(self) -> float:
        """Seconds a face of the bare engine with the batch that suits it best."""
        return min(median(rounds) for rounds in self.bare_s.values())

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        return [self._parts(), self._classifier(), self._folders()]

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        stage = Bar("classifier stage, of the bare engine", STAGE_BAR, self.best_bare_s / median(self.stage_s))
        return [stage, *(self._folder_bar(folder) for folder in self.folders if folder.name in (PORTRAITS, ALL))]

    def _folder_bar(self, folder: Folder) -> Bar:
        share, _ = folder.shares(self.best_bare_s)
        return Bar(f"folder, of the slower of decoding and classifying alone, {folder.name}", FOLDER_BAR, share)

    def _parts(self) -> Table:
        rows = [(part, median(rounds)) for part, rounds in self.parts_ms.items()]
        return Table("Parts of facecheck, called one by one on a portrait", ("part", "ms"), list(rows))

    def _classifier(self) -> Table:
        bare = [(f"bare, {batch} at a time", 1 / median(rounds)) for batch, rounds in self.bare_s.items()]
        rows = [(f"facecheck's stage, {WORKER_PICTURES} at a time", 1 / median(self.stage_s)), *bare]
        return Table(f"The classifier alone ({self.engine})", ("who", "faces/s"), list(rows))

    def _folders(self) -> Table:
        columns = (
            "set",
            "pictures/s",
            "decode alone, pictures/s",
            "classifier alone, pictures/s",
            "share of the slower",
            "the same if detection took no time",
        )
        return Table("A folder against its limits", columns, [self._folder_row(folder) for folder in self.folders])

    def _folder_row(self, folder: Folder) -> tuple[object, ...]:
        classify_s = folder.faces * self.best_bare_s
        speeds = [folder.pictures / median(times) for times in (folder.folder_s, folder.decode_s)]
        classified = folder.pictures / classify_s if classify_s else float("inf")
        return folder.name, *speeds, classified, *folder.shares(self.best_bare_s)


def run(bench: Bench) -> Limits:
    """Measure all of it."""
    portraits = bench.inputs.named(PORTRAITS).paths
    faces = repeated(cut_faces(bench.checker, portraits).pixels, bench.settings.classified)
    stage_s, bare_s = _classifier(bench, faces)
    return Limits(
        str(bench.checker.classifier.choice),
        bench.take_turns(_parts(bench.checker, portraits)),
        stage_s,
        bare_s,
        [_folder(bench, group) for group in bench.inputs.sets],
    )


def _classifier(bench: Bench, faces: Pixels) -> tuple[list[float], dict[int, list[float]]]:
    classifier, stored = bench.checker.for_workers().classifier, read_model()
    with ThreadPoolExecutor(classifier.workers) as pool:
        runners = {"stage": stage_runner(classifier, faces, WORKER_PICTURES, pool)}
        runners |= {
            str(size): bare_runner(stored, classifier, faces, size) for size in BARE_BATCHES if size <= len(faces)
        }
        times = bench.take_turns(runners)
    return times.pop("stage"), {int(size): rounds for size, rounds in times.items()}


def _folder(bench: Bench, group: PictureSet) -> Folder:
    paths = group.paths * group.repeats(bench.settings.folder)
    found = {path: bench.checker.detector.detect([image.load(path)])[0] for path in group.paths}
    workers = bench.checker.for_workers()

    def judge_known(group: Sequence[Path]) -> None:
        pictures = [decode(path).pixels for path in group]
        workers.judge([pixels for pixels in pictures if pixels is not None], [found[path] for path in group])

    with ThreadPoolExecutor(processors()) as pool:
        works: dict[str, Callable[[], object]] = {
            "folder": lambda: list(bench.checker.stream(paths)),
            "known": lambda: list(pool.map(judge_known, groups(paths, workers.classifier.workers))),
            "decode": lambda: list(pool.map(_decode, paths)),
        }
        timers = {name: functools.partial(seconds, work) for name, work in works.items()}
        times = bench.take_turns(timers)
    faces = sum(len(found[path]) for path in paths)
    return Folder(group.name, len(paths), faces, times["folder"], times["known"], times["decode"])


def _decode(path: Path) -> None:
    with Image.open(path) as opened:
        opened.load()


def _parts(checker: FaceChecker, paths: Sequence[Path]) -> dict[str, Callable[[], float]]:
    """What a picture goes through; each part over all pictures, with its inputs ready."""
    encoded = [path.read_bytes() for path in paths]
    pictures = [image.load(data) for data in encoded]
    places = [(picture, box) for picture in pictures for box in checker.detector.detect([picture])[0].boxes]
    size, margin = checker.config.input_size, checker.config.crop_margin
    faces = [crop.face(picture, box, size, margin)[None] for picture, box in places]
    works: dict[str, Callable[[], object]] = {
        "read": lambda: [path.read_bytes() for path in paths],
        "decode": lambda: [image.load(data) for data in encoded],
        "detect": lambda: [checker.detector.detect([picture]) for picture in pictures],
        "cut": lambda: [crop.face(picture, box, size, margin) for picture, box in places],
        "classify": lambda: [checker.classifier.logits(face) for face in faces],
    }
    return {part: _per_picture_ms(work, len(paths)) for part, work in works.items()}


def _per_picture_ms(work: Callable[[], object], pictures: int) -> Callable[[], float]:
    return lambda: 1000 * seconds(work) / pictures


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
