"""What is known of every prompt and every image, written down once.

prompts.jsonl has one prompt a line, appended and synced, so that a run that is killed loses at most its last line. An
image has the recipe that determines it, and one row of manifest.jsonl for each attempt.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from data_generation import PromptError
from data_generation.attributes import GROUP, MINORS, USE_CASE
from facecheck.errors import LedgerError
from facecheck.files import sha256_of
from facecheck.ledger import Ledger, whole_lines

T = TypeVar("T")
TXT2IMG, IMG2IMG, INPAINT, VAE, EDIT = "txt2img", "img2img", "inpaint", "vae", "edit"
MODES = (TXT2IMG, IMG2IMG, INPAINT, VAE, EDIT)
ADOPTED = "adopted"
"""The mode of images that were made elsewhere."""
STARTS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}


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
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The prompt that a line holds.

        Raises:
            ValueError: it is not a prompt.
        """
        if set(row) != {each.name for each in dataclasses.fields(cls)}:
            raise ValueError("the fields are not those of a prompt")
        if not isinstance(row["attributes"], dict) or not isinstance(row["ordinal"], int):
            raise ValueError("attributes must be an object and ordinal an integer")
        return cls(**row)


def prompt_id(cell: str, ordinal: int, text: str) -> str:
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


def open_and_read(ledger: Ledger, read: Callable[[Path], T]) -> T:
    """Open a ledger for writing; what is in it is read first, and where it cannot be, the ledger is closed again."""
    with contextlib.ExitStack() as undo:
        undo.enter_context(ledger)
        found = read(ledger.path)
        undo.pop_all()
    return found


class PromptFile:
    """prompts.jsonl opened for appending; a half-written last line is cut off first.

    Attributes:
        prompts: everything in the file.

    Raises:
        PromptError: a line is not a prompt, or another run writes to the file.
    """

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger(path, beginning=b"")  # What it begins with is looked at line by line.
        try:
            self.prompts = open_and_read(self._ledger, read_prompts)
        except LedgerError as error:
            raise PromptError(str(error)) from error

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


@dataclass(frozen=True)
class Recipe:
    """Everything that determines an image, so that it can be made again alone.

    Attributes:
        prompt_id, cell: where the prompt came from; empty for images without one.
        prompt, negative: what the model was given; empty where it takes none.
        model, revision: hub id or folder name, and the commit or the hash of its files.
        scheduler: class name. guidance: classifier-free. strength: of img2img and inpaint, in [0, 1].
        width, height: pixels. dtype: of the network.
        photo: sha256 of the photograph that it was made from; empty for txt2img.
        index: number among the images of one prompt or photograph.
        options: what else the generator was given, as a JSON object with sorted names; empty where there is nothing.
    """

    model: str
    revision: str
    mode: str
    seed: int
    index: int = 0
    prompt_id: str = ""
    cell: str = ""
    prompt: str = ""
    negative: str = ""
    scheduler: str = ""
    steps: int = 0
    guidance: float = 0.0
    strength: float = 0.0
    width: int = 0
    height: int = 0
    dtype: str = "float32"
    photo: str = ""
    options: str = ""

    @property
    def id(self) -> str:
        """Twenty hexadecimal digits of the hash of all fields; `options` came later and counts where there are some."""
        values = dataclasses.asdict(self)
        if not self.options:
            del values["options"]
        return sha256_of(json.dumps(values, sort_keys=True, ensure_ascii=False).encode())[:20]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The recipe that `Row.to_dict` wrote."""
        row = {"options": ""} | row
        return cls(**{each.name: row[each.name] for each in dataclasses.fields(cls)})


@dataclass(frozen=True)
class Row:
    """One attempted image.

    Attributes:
        file: the image, relative to the folder of the ledger; sha256: of its bytes.
        pair: the photograph as the model saw it (same size and framing), relative; empty for txt2img.
        phash: perceptual hash, hexadecimal.
        faces: what the detector found, largest first: box (xyxy pixels), confidence.
        contrast: standard deviation of the grey levels; clipped: share of pixels that are black or white to the limit.
        flagged: the model's own safety checker; None where it has none.
        reasons: of the gate, for this image alone; empty = accepted.
        versions: of the libraries. seconds: share of its batch's time. time: UTC, ISO 8601.
        age: of the person that the prompt asks for; empty where the model read none.
        several: whether the prompt asks for more than one person.
        pixels: width and height of the image where they are not those that the recipe asks for, else (0, 0).
        attributes: of the prompt's plan cell; empty where the model read no prompt.
        known_by: how it is known that the image was generated, and by what; a sentence.
        answer: what the service said, or the file says, of its making.
    """

    recipe: Recipe
    file: str
    sha256: str
    phash: str
    faces: tuple[dict[str, Any], ...]
    contrast: float
    clipped: float
    flagged: bool | None
    reasons: tuple[str, ...]
    licence: str
    versions: dict[str, str] = field(default_factory=dict)
    pair: str = ""
    seconds: float = 0.0
    time: str = ""
    age: str = ""
    several: bool = False
    pixels: tuple[int, int] = (0, 0)
    attributes: dict[str, str] = field(default_factory=dict)
    known_by: str = ""
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """That of the recipe."""
        return self.recipe.id

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, pixels."""
        return self.pixels if any(self.pixels) else (self.recipe.width, self.recipe.height)

    def to_dict(self) -> dict[str, Any]:
        """One flat JSON object, recipe included."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "recipe"}
        return {"id": self.id, **dataclasses.asdict(self.recipe), **values}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The row that `to_dict` wrote; earlier versions wrote no age, but the plan's own cells begin with it."""
        cell_age = str(values["cell"]).partition("-")[0]
        later: dict[str, Any] = {
            "age": cell_age if cell_age in MINORS else "",
            "several": False,
            "pixels": (0, 0),
            "attributes": {},
            "known_by": "",
            "answer": {},
        }
        values = later | values
        own = {each.name: values[each.name] for each in dataclasses.fields(cls) if each.name != "recipe"}
        own |= {name: tuple(own[name]) for name in ("faces", "reasons", "pixels")}
        return cls(recipe=Recipe.from_row(values), **own)


def suffix_of(content: bytes) -> str:
    """Of the name of a picture file, by its first bytes; empty where they are of no common format."""
    return next((suffix for start, suffix in STARTS.items() if content.startswith(start)), "")
