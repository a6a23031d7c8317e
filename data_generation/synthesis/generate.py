"""Make what is missing: images, PNGs, rows; killed at any moment, a second run goes on."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

from tqdm import tqdm

from data_generation import GenerationError
from data_generation.gate import UNCHECKED, Limits
from data_generation.record import Prompt, Recipe, Row
from data_generation.store import Manifest, Master, Recorder, encode_plain_png, encode_png, remove_partials, store
from data_generation.synthesis import Settings
from data_generation.synthesis.conditioning import Photo, prepared
from data_generation.synthesis.pipelines import Pipeline, Rendered
from facecheck.files import sha256_of
from facecheck.scan.cluster import IN_FLIGHT, Placed, least_busy, start_actors

PHOTOS = "photos"
MADE_HERE = "It was made here, by this recipe."
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")
Work = tuple[list[Recipe], list[Photo | None]]


@dataclass(frozen=True)
class Task:
    """One image to be made, the photograph it is made from, if it is, and whom its prompt asks for, as in `Row`."""

    recipe: Recipe
    photo: Path | None = None
    age: str = ""
    several: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`; which images belong to it depends on their ids only."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`i/n`.

        Raises:
            GenerationError: it is anything else.
        """
        index, _, count = text.partition("/")
        if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
            raise GenerationError(f"--shard {text}: expected i/n with 1 <= i <= n, such as 2/8")
        return cls(int(index), int(count))

    def holds(self, recipe: Recipe) -> bool:
        """Whether an image is made here."""
        return int(recipe.id, 16) % self.count == self.index - 1

    @property
    def suffix(self) -> str:
        """For file names; empty for the whole."""
        return "" if self.count == 1 else f"-{self.index}of{self.count}"


def tasks(pipeline: Pipeline, prompts: Sequence[Prompt], photos: Sequence[Path], each: int) -> Iterator[Task]:
    """All tasks of a run: `each` images of every photograph where there are some, else of every prompt.

    Photographs take the prompts in turn. A model that reads no text is given none, and the record says none.
    """
    if photos:
        for number, photo in enumerate(photos):
            digest = sha256_of(photo)
            prompt = prompts[number % len(prompts)] if prompts else None
            values, people = (_prompt_fields(pipeline, prompt), _people(pipeline, prompt)) if prompt else ({}, ())
            for index in range(each):
                yield Task(pipeline.recipe(digest, index, photo=digest, **values), photo, *people)
        return
    for prompt in prompts:
        for index in range(each):
            recipe = pipeline.recipe(prompt.id, index, **_prompt_fields(pipeline, prompt))
            yield Task(recipe, None, *_people(pipeline, prompt))


def _prompt_fields(pipeline: Pipeline, prompt: Prompt) -> dict[str, str]:
    if not pipeline.takes_prompt:
        return {"prompt_id": prompt.id}
    negative = prompt.negative if pipeline.takes_negative else ""
    return {"prompt_id": prompt.id, "cell": prompt.cell, "prompt": prompt.prompt, "negative": negative}


def _people(pipeline: Pipeline, prompt: Prompt) -> tuple[str, bool, Mapping[str, str]]:
    """Whom the model is asked for: their age, whether they are several, and all that the plan says of them."""
    return (prompt.age, prompt.several, prompt.attributes) if pipeline.takes_prompt else ("", False, {})


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


class Cluster:
    """Actors on a Ray cluster: one pipeline each, a GPU for each where the cluster has some. Use as a context manager.

    Only pixels travel; record and PNGs are written by the process that started the run, so a worker that dies loses
    nothing but the images it was making, and Ray starts it anew and asks again.

    Args:
        address: "auto", "host:port", "ray://host:port", or "local" for a cluster of this machine alone.
        actors: how many; 0 = one for each GPU, or for each processor where there is none.

    Raises:
        GenerationError: Ray is missing, or the cluster cannot be reached.
    """

    def __init__(self, address: str, settings: Settings, actors: int = 0) -> None:
        self.address, self.settings, self.actors = address, settings, actors

    def __enter__(self) -> Self:
        try:
            self.ray, self.workers = start_actors(self.address, _Worker, (self.settings,), self.actors)
        except ConnectionError as error:
            raise GenerationError(str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def stream(self, groups: Iterable[Work]) -> Iterator[tuple[int, list[Rendered]]]:
        """As they are finished; `IN_FLIGHT` groups wait at each actor."""
        waiting: dict[Any, tuple[int, int]] = {}
        for number, (recipes, photos) in enumerate(groups):
            if len(waiting) >= IN_FLIGHT * len(self.workers):
                yield self._finished(waiting)
            busy = [actor for _, actor in waiting.values()]
            actor = least_busy(busy, len(self.workers))
            waiting[self.workers[actor].render.remote(recipes, photos)] = number, actor
        while waiting:
            yield self._finished(waiting)

    def _finished(self, waiting: dict[Any, tuple[int, int]]) -> tuple[int, list[Rendered]]:
        (done,), _ = self.ray.wait(list(waiting), num_returns=1)
        number, _ = waiting.pop(done)
        try:
            return number, self.ray.get(done)
        except self.ray.exceptions.RayError as error:
            raise GenerationError(f"a worker of the cluster failed: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class _Worker(Placed):
    """What runs on the cluster."""

    def __init__(self, settings: Settings) -> None:
        self.pipeline = Pipeline(settings)

    def render(self, recipes: list[Any], photos: list[Any]) -> list[Rendered]:
        return self.pipeline.render(recipes, photos)


@dataclass(frozen=True)
class Made:
    """What a run did.

    Attributes:
        new, before: images made now, and earlier. faceless: photographs without a readable face.
        unchecked: new images of minors that no safety checker looked at; the gate refuses them.
    """

    new: int
    before: int
    faceless: int
    unchecked: int = 0

    def notes(self) -> Iterator[str]:
        """For the screen."""
        if self.faceless:
            yield f"{self.faceless} photographs left out: unreadable, or no face found"
        if self.unchecked:
            yield (
                f"{self.unchecked} images of minors will not be accepted: no safety checker looked at "
                "them; plan for adults with `plan --weight age child 0 --weight age teenager 0`"
            )


class Run:
    """One folder of images under one record.

    Args:
        folder: PNGs go to `folder`/images, photographs as the model saw them to `folder`/photos.
        limits: of the gate.
    """

    def __init__(self, folder: Path, pipeline: Pipeline, shard: Shard, limits: Limits | None = None) -> None:
        self.folder, self.pipeline, self.shard = folder, pipeline, shard
        self.recorder = Recorder(folder, shard.suffix, limits)
        self.versions = {name: version(name) for name in LIBRARIES}
        self.faceless = self.unchecked = 0

    def make(self, wanted: Iterable[Task], renderer: Renderer, group: int) -> Made:
        """Make every image that the record lacks, `group` at a time.

        Raises:
            GenerationError: another run writes here; memory is too short; the record is damaged.
        """
        remove_partials(self.recorder.images)
        remove_partials(self._photos)
        with Manifest(self.folder / f"manifest{self.shard.suffix}.jsonl") as manifest:
            own = [task for task in wanted if self.shard.holds(task.recipe)]
            missing = [task for task in own if task.recipe.id not in manifest.ids]
            made = self._make(missing, renderer, group, manifest)
        return Made(made, len(own) - len(missing), self.faceless, self.unchecked)

    def _make(self, missing: Sequence[Task], renderer: Renderer, group: int, manifest: Manifest) -> int:
        opened: dict[int, list[tuple[Task, Photo | None]]] = {}
        made, began = 0, time.perf_counter()
        with tqdm(total=len(missing), unit="image", disable=None) as bar:
            for number, images in renderer.stream(self._groups(missing, group, opened)):
                pairs = opened.pop(number)
                seconds = (time.perf_counter() - began) / max(len(pairs), 1)
                for row in self._rows(pairs, images, seconds):
                    manifest.append(row)
                    self.unchecked += UNCHECKED in row.reasons
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
            photo = prepared(task.photo, task.recipe.width, self.recorder.gate.detector) if task.photo else None
            if task.photo and photo is None:
                self.faceless += 1
            else:
                yield task, photo

    def _rows(
        self, pairs: Sequence[tuple[Task, Photo | None]], images: Sequence[Rendered], seconds: float
    ) -> Iterator[Row]:
        yield from self.recorder.rows([
            Master(
                task.recipe, encode_png(rendered.image, task.recipe, self.versions, self.pipeline.licence),
                rendered.image, self.pipeline.licence, flagged=rendered.flagged, versions=self.versions,
                pair=self._pair(task.recipe, photo), seconds=seconds, age=task.age, several=task.several,
                attributes=dict(task.attributes),
                known_by=MADE_HERE,
            )
            for (task, photo), rendered in zip(pairs, images, strict=True)
        ])  # fmt: skip

    def _pair(self, recipe: Recipe, photo: Photo | None) -> str:
        if photo is None:
            return ""
        path = self._photos / f"{recipe.photo[:20]}-{recipe.width}.png"
        if not path.exists():
            store(encode_plain_png(photo.pixels), path)
        return path.relative_to(self.folder).as_posix()

    @property
    def _photos(self) -> Path:
        return self.folder / f"{PHOTOS}{self.shard.suffix}"
