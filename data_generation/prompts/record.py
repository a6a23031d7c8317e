"""prompts.jsonl: one prompt a line, appended and synced, so that a run that is killed loses at most its last line."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from data_generation.errors import PromptError


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

    def to_line(self) -> bytes:
        return json.dumps(vars(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Prompt":
        """Read one line.

        Raises:
            ValueError: it is not a prompt.
        """
        data: Any = json.loads(line)
        if not isinstance(data, dict) or set(data) != {field.name for field in fields(cls)}:
            raise ValueError("the fields are not those of a prompt")
        if not isinstance(data["attributes"], dict) or not isinstance(data["ordinal"], int):
            raise ValueError("attributes must be an object and ordinal an integer")
        return cls(**data)


def identifier(cell: str, ordinal: int, text: str) -> str:
    """The id of a prompt: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps([cell, ordinal, text]).encode()).hexdigest()[:16]


def read_prompts(path: Path) -> list[Prompt]:
    """The whole lines of `path`; a last line that was cut off by a crash is left out.

    Raises:
        PromptError: a line is not a prompt.
    """
    prompts = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            prompts.append(Prompt.from_line(line))
        except ValueError as error:
            raise PromptError(f"{path}, line {number}, is not a prompt ({error}): mend it or move it away") from error
    return prompts


class PromptFile:
    """prompts.jsonl opened for appending; a half-written last line is cut off first.

    Attributes:
        prompts: everything in the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.prompts = read_prompts(path)
        self._stream = path.open("r+b")
        self._stream.truncate(path.read_bytes().rfind(b"\n") + 1)
        self._stream.seek(0, os.SEEK_END)

    def append(self, prompts: Sequence[Prompt]) -> None:
        """On return the prompts are on the disk."""
        if prompts:
            self._stream.write(b"".join(prompt.to_line() for prompt in prompts))
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self.prompts.extend(prompts)

    def __enter__(self) -> "PromptFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
