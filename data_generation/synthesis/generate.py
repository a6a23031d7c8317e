"""Make what is missing: images, masters, rows; killed at any moment, a second run goes on."""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from data_generation import gate, master
from data_generation.gate import Gate, Limits
from data_generation.record import Ledger, Recipe, Row
from data_generation.synthesis.photos import Photo, prepared
from data_generation.synthesis.pipelines import Pipeline, Rendered
from data_generation.synthesis.tasks import Shard, Task

IMAGES, PHOTOS = "images", "photos"
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")
Work = tuple[list[Recipe], list[Photo | None]]


class Renderer(Protocol):
    """What makes images: a pipeline in this process, or the actors of a cluster."""

    def stream(self, groups: Iterable[Work]) -> Iterator[tuple[int, list[Rendered]]]:
        """(number of the group, its images), in any order."""


@dataclass
class Local:
    """One pipeline in this process."""

    pipeline: Pipeline

    def stream(self, groups: Iterable[Work]) -> Iterator[tuple[int, list[Rendered]]]:
        """In order."""
        for number, (recipes, photos) in enumerate(groups):
            yield number, self.pipeline.render(recipes, photos)


@dataclass(frozen=True)
class Made:
    """What a run did: images made now, made before, and photographs without a readable face."""

    new: int
    before: int
    faceless: int


class Run:
    """One folder of images under one record.

    Args:
        folder: masters go to `folder`/images, photographs as the model saw them to `folder`/photos.
        limits: of the gate.
    """

    def __init__(self, folder: Path, pipeline: Pipeline, shard: Shard, limits: Limits | None = None) -> None:
        self.folder, self.pipeline, self.shard = folder, pipeline, shard
        self.limits = limits or Limits()
        self.gate = Gate()
        self.versions = {name: version(name) for name in LIBRARIES}
        self.faceless = 0

    def make(self, wanted: Iterable[Task], renderer: Renderer, group: int) -> Made:
        """Make every image that the record lacks, `group` at a time.

        Raises:
            GenerationError: another run writes here; memory is too short; the record is damaged.
        """
        master.sweep(self._images)
        master.sweep(self._photos)
        with Ledger(self.folder / f"manifest{self.shard.suffix}.jsonl") as ledger:
            own = [task for task in wanted if self.shard.holds(task.recipe)]
            missing = [task for task in own if task.recipe.id not in ledger.ids]
            made = self._make(missing, renderer, group, ledger)
        return Made(made, len(own) - len(missing), self.faceless)

    def _make(self, missing: Sequence[Task], renderer: Renderer, group: int, ledger: Ledger) -> int:
        opened: dict[int, list[tuple[Task, Photo | None]]] = {}
        made, began = 0, time.perf_counter()
        with tqdm(total=len(missing), unit="image", disable=None) as bar:
            for number, images in renderer.stream(self._groups(missing, group, opened)):
                pairs = opened.pop(number)
                seconds = (time.perf_counter() - began) / max(len(pairs), 1)
                for row in self._rows(pairs, images, seconds):
                    ledger.append(row)
                made, began = made + len(pairs), time.perf_counter()
                bar.update(len(pairs))
        return made

    def _groups(
        self, missing: Sequence[Task], group: int, opened: dict[int, list[tuple[Task, Photo | None]]]
    ) -> Iterator[Work]:
        readable = self._readable(missing)
        for number in itertools.count():
            if not (part := list(itertools.islice(readable, group))):
                return
            opened[number] = part
            yield [task.recipe for task, _ in part], [photo for _, photo in part]

    def _readable(self, missing: Sequence[Task]) -> Iterator[tuple[Task, Photo | None]]:
        for task in missing:
            photo = prepared(task.photo, task.recipe.width, self.gate.detector) if task.photo else None
            if task.photo and photo is None:
                self.faceless += 1
            else:
                yield task, photo

    def _rows(
        self, pairs: Sequence[tuple[Task, Photo | None]], images: Sequence[Rendered], seconds: float
    ) -> Iterator[Row]:
        facts = self.gate.measure([each.image for each in images])
        for (task, photo), rendered, fact in zip(pairs, images, facts, strict=True):
            recipe = task.recipe
            path = self._images / f"{recipe.id}.png"
            content = master.to_png(rendered.image, recipe, self.versions, self.pipeline.licence)
            sha256 = master.store(content, path)
            pair = self._pair(recipe, photo)
            height, width = rendered.image.shape[:2]
            yield Row(
                recipe, self._relative(path), sha256, fact.phash, fact.faces, fact.contrast, fact.clipped,
                rendered.flagged, gate.reasons(fact, (width, height), rendered.flagged, self.limits, task.age),
                self.pipeline.licence, self.versions, pair, round(seconds, 3),
                datetime.now(UTC).isoformat(timespec="seconds"), task.age,
            )  # fmt: skip

    def _pair(self, recipe: Recipe, photo: Photo | None) -> str:
        if photo is None:
            return ""
        path = self._photos / f"{recipe.photo[:20]}-{recipe.width}.png"
        if not path.exists():
            master.store(master.plain_png(photo.pixels), path)
        return self._relative(path)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    @property
    def _images(self) -> Path:
        return self.folder / f"{IMAGES}{self.shard.suffix}"

    @property
    def _photos(self) -> Path:
        return self.folder / f"{PHOTOS}{self.shard.suffix}"
