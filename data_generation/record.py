"""What is known of every image, written down once: the recipe that determines it, and one row for each attempt."""

import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from data_generation.attributes import MINORS
from data_generation.errors import GenerationError

TXT2IMG, IMG2IMG, INPAINT, VAE = "txt2img", "img2img", "inpaint", "vae"
MODES = (TXT2IMG, IMG2IMG, INPAINT, VAE)
LEDGERS = "manifest*.jsonl"


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

    @property
    def id(self) -> str:
        """Twenty hexadecimal digits of the hash of all fields."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The recipe that `Row.to_dict` wrote."""
        return cls(**{each.name: row[each.name] for each in dataclasses.fields(cls)})


@dataclass(frozen=True)
class Row:
    """One attempted image.

    Attributes:
        file: the PNG, relative to the folder of the ledger; sha256: of its bytes.
        pair: the photograph as the model saw it (same size and framing), relative; empty for txt2img.
        phash: perceptual hash, hexadecimal.
        faces: what the detector found, largest first: box (xyxy pixels), confidence.
        contrast: standard deviation of the grey levels; clipped: share of pixels that are black or white to the limit.
        flagged: the model's own safety checker; None where it has none.
        reasons: of the gate, for this image alone; empty = accepted.
        versions: of the libraries. seconds: share of its batch's time. time: UTC, ISO 8601.
        age: of the person that the prompt asks for; empty where the model read none.
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

    @property
    def id(self) -> str:
        """That of the recipe."""
        return self.recipe.id

    def to_dict(self) -> dict[str, Any]:
        """One flat JSON object, recipe included."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "recipe"}
        return {"id": self.id, **dataclasses.asdict(self.recipe), **values}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The row that `to_dict` wrote; earlier versions wrote no age, but the plan's own cells begin with it."""
        cell_age = str(values["cell"]).partition("-")[0]
        values = {"age": cell_age if cell_age in MINORS else "", **values}
        own = {each.name: values[each.name] for each in dataclasses.fields(cls) if each.name != "recipe"}
        own |= {"faces": tuple(own["faces"]), "reasons": tuple(own["reasons"])}
        return cls(recipe=Recipe.from_row(values), **own)


class Ledger:
    """An append-only JSONL file that survives kill -9: a row is there whole or not at all, and only one run writes.

    Use as a context manager.

    Raises:
        GenerationError: another run writes to it; a line in the middle is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._cut_half_line()
            self.ids = {row.id for row in read_ledger(self.path)}
        except BlockingIOError:
            os.close(self._file)
            raise GenerationError(f"another run is writing to {self.path}; wait for it, or use --shard") from None
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _cut_half_line(self) -> None:
        """What a kill left of a line that was being written."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._file, whole)

    def append(self, row: Row) -> None:
        """Write one row through to the disk."""
        if row.id in self.ids:
            raise ValueError(f"{row.id} is in {self.path} already")
        os.write(self._file, (json.dumps(row.to_dict(), ensure_ascii=False) + "\n").encode())
        os.fsync(self._file)
        self.ids.add(row.id)


def read_ledger(path: Path) -> Iterator[Row]:
    """The rows of one ledger, in the order they were written; a half-written last line is passed over.

    Raises:
        GenerationError: a line is damaged.
    """
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith("\n"):
                return
            try:
                yield Row.from_dict(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise GenerationError(f"{path}, line {number} is damaged ({error!r}); remove that line") from error


def read_folder(folder: Path) -> list[Row]:
    """The rows of all ledgers of a folder (one for each shard), each image once.

    Raises:
        GenerationError: there is none.
    """
    ledgers = sorted(folder.glob(LEDGERS))
    if not ledgers:
        raise GenerationError(f"{folder} has no manifest.jsonl; make images with `python -m data_generation generate`")
    rows = {row.id: row for path in ledgers for row in read_ledger(path)}
    return list(rows.values())
