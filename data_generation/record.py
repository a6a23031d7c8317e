"""What is known of every image, written down once: the recipe that determines it, and one row for each attempt."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Self

from data_generation.attributes import MINORS
from facecheck.files import sha256_of

TXT2IMG, IMG2IMG, INPAINT, VAE, EDIT = "txt2img", "img2img", "inpaint", "vae", "edit"
MODES = (TXT2IMG, IMG2IMG, INPAINT, VAE, EDIT)
ADOPTED = "adopted"
"""The mode of images that were made elsewhere."""
STARTS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}


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
