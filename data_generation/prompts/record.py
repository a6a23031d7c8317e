"""prompts.jsonl: one prompt a line, appended and synced, so that a run that is killed loses at most its last line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from data_generation.errors import PromptError
from data_generation.use_cases import GROUP, USE_CASE
from facecheck.errors import LedgerError
from facecheck.files import sha256_of
from facecheck.ledger import Ledger, whole_lines


@dataclass(frozen=True)
class Prompt:
    """A prompt for one picture.

    Attributes:
        id: hash of cell, ordinal and text.
        cell: id of the cell of the plan.
        ordinal: which of the cell's pictures, from 0.
        prompt: what to show.
        negative: what not to show, a list with commas.
        attributes: those of the cell.
        writer: "template" or "openai".
        model: the language model, or the version of the template.
    """

    id: str
    cell: str
    ordinal: int
    prompt: str
    negative: str
    attributes: dict[str, str]
    writer: str
    model: str

    @property
    def age(self) -> str:
        """Of the person, as the plan says it."""
        return self.attributes.get("age", "")

    @property
    def several(self) -> bool:
        """Whether it asks for more than one person."""
        return self.attributes.get(USE_CASE) == GROUP

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Prompt":
        """The prompt that a line holds.

        Raises:
            ValueError: it is not a prompt.
        """
        if set(row) != {field.name for field in fields(cls)}:
            raise ValueError("the fields are not those of a prompt")
        if not isinstance(row["attributes"], dict) or not isinstance(row["ordinal"], int):
            raise ValueError("attributes must be an object and ordinal an integer")
        return cls(**row)


def identifier(cell: str, ordinal: int, text: str) -> str:
    """The id of a prompt: 16 hexadecimal digits."""
    return sha256_of(json.dumps([cell, ordinal, text]).encode())[:16]


def read_prompts(path: Path) -> list[Prompt]:
    """The whole lines of `path`; a last line that was cut off by a crash is left out.

    Raises:
        PromptError: a line is not a prompt.
    """
    prompts = []
    for line in whole_lines(path):
        try:
            prompts.append(Prompt.from_row(line.parsed()))
        except ValueError as error:
            told = f"{path}, line {line.number}, is not a prompt ({error}): mend it or move it away"
            raise PromptError(told) from error
    return prompts


class PromptFile:
    """prompts.jsonl opened for appending; a half-written last line is cut off first.

    Attributes:
        prompts: everything in the file.

    Raises:
        PromptError: a line is not a prompt, or another run writes to the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            # What it begins with is looked at below, line by line.
            self._ledger = Ledger(path, beginning=b"").open()
        except LedgerError as error:
            raise PromptError(str(error)) from error
        try:
            self.prompts = read_prompts(path)
        except BaseException:
            self._ledger.close()
            raise

    def append(self, prompts: Sequence[Prompt]) -> None:
        """On return the prompts are on the disk."""
        try:
            for prompt in prompts:
                self._ledger.append(vars(prompt))
        except LedgerError as error:
            raise PromptError(str(error)) from error
        self._ledger.sync()
        self.prompts.extend(prompts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()
