"""What is to be made: one task for each image, the same list on every machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_generation.errors import GenerationError
from data_generation.prompts.record import Prompt
from data_generation.record import Recipe
from data_generation.synthesis.pipelines import Pipeline
from facecheck.files import sha256_of


@dataclass(frozen=True)
class Task:
    """One image to be made, the photograph it is made from, if it is, and the age that its prompt asks for."""

    recipe: Recipe
    photo: Path | None = None
    age: str = ""


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
            said, age = (_said(pipeline, prompt), _age(pipeline, prompt)) if prompt else ({}, "")
            for index in range(each):
                yield Task(pipeline.recipe(digest, index, photo=digest, **said), photo, age)
        return
    for prompt in prompts:
        for index in range(each):
            yield Task(pipeline.recipe(prompt.id, index, **_said(pipeline, prompt)), age=_age(pipeline, prompt))


def _said(pipeline: Pipeline, prompt: Prompt) -> dict[str, str]:
    if not pipeline.takes_prompt:
        return {"prompt_id": prompt.id}
    negative = prompt.negative if "negative_prompt" in pipeline.takes else ""
    return {"prompt_id": prompt.id, "cell": prompt.cell, "prompt": prompt.prompt, "negative": negative}


def _age(pipeline: Pipeline, prompt: Prompt) -> str:
    return prompt.attributes.get("age", "") if pipeline.takes_prompt else ""
