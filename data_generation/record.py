"""What is known of every image, written down once: the recipe that determines it, one row for each attempt, the file.

A file is a lossless PNG that says what it is: the recipe in a text chunk, the IPTC source type in an XMP packet. Its
bytes depend on pixels and recipe only, so the same recipe gives the same file.
"""

import dataclasses
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data_generation.attributes import MINORS
from data_generation.errors import GenerationError
from facecheck.errors import LedgerBusyError, LedgerError
from facecheck.files import sha256_of, write_atomically
from facecheck.ledger import Ledger, whole_lines

TXT2IMG, IMG2IMG, INPAINT, VAE = "txt2img", "img2img", "inpaint", "vae"
MODES = (TXT2IMG, IMG2IMG, INPAINT, VAE)
MANIFESTS = "manifest*.jsonl"
Pixels = npt.NDArray[np.uint8]
CHUNK = "facecheck"
XMP_CHUNK = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
"""IPTC Photo Metadata Standard 2023.1, "Digital Source Type"."""
PARTIAL = ".partial"


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
        return sha256_of(text.encode())[:20]

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


class Manifest:
    """The ledger of a run, opened for writing: a row is there whole or not at all, and only one run writes.

    Use as a context manager.

    Attributes:
        ids: of the rows that are there.

    Raises:
        GenerationError: another run writes to it; it cannot be written; a line in the middle is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._ledger = path, Ledger(path)

    def __enter__(self) -> Self:
        try:
            self._ledger.open()
        except LedgerBusyError as error:
            raise GenerationError(f"another run is writing to {self.path}; wait for it, or use --shard") from error
        except LedgerError as error:
            raise GenerationError(str(error)) from error
        try:
            self.ids = {row.id for row in read_manifest(self.path)}
        except BaseException:
            self._ledger.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()

    def append(self, row: Row) -> None:
        """Write one row through to the disk."""
        if row.id in self.ids:
            raise ValueError(f"{row.id} is in {self.path} already")
        try:
            self._ledger.append(row.to_dict())
        except LedgerError as error:
            raise GenerationError(str(error)) from error
        self._ledger.sync()
        self.ids.add(row.id)


def read_manifest(path: Path) -> Iterator[Row]:
    """The rows of one ledger, in the order they were written; a half-written last line is passed over.

    Raises:
        GenerationError: a line is damaged.
    """
    for line in whole_lines(path):
        try:
            yield Row.from_dict(line.parsed())
        except (ValueError, KeyError, TypeError) as error:
            raise GenerationError(f"{path}, line {line.number} is damaged ({error!r}); remove that line") from error


def read_folder(folder: Path) -> list[Row]:
    """The rows of all ledgers of a folder (one for each shard), each image once.

    Raises:
        GenerationError: there is none.
    """
    manifests = sorted(folder.glob(MANIFESTS))
    if not manifests:
        raise GenerationError(f"{folder} has no manifest.jsonl; make images with `python -m data_generation generate`")
    rows = {row.id: row for path in manifests for row in read_manifest(path)}
    return list(rows.values())


def encode_png(pixels: Pixels, recipe: Recipe, versions: dict[str, str], licence: str) -> bytes:
    """(H, W, 3) uint8 RGB -> the bytes of its PNG."""
    content = {"id": recipe.id, **dataclasses.asdict(recipe), "versions": versions, "licence": licence}
    info = PngInfo()
    info.add_itxt(CHUNK, json.dumps(content, ensure_ascii=False, sort_keys=True))
    info.add_itxt(XMP_CHUNK, XMP)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=info, compress_level=6)
    return stream.getvalue()


def encode_plain_png(pixels: Pixels) -> bytes:
    """(H, W, 3) uint8 RGB of a photograph -> PNG bytes that say nothing."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def embedded_recipe(path: Path) -> dict[str, Any]:
    """What the text chunk of a generated PNG says; empty for other pictures."""
    with Image.open(path, formats=("PNG",)) as picture:
        picture.load()
        text = getattr(picture, "text", {}).get(CHUNK)
    return dict(json.loads(text)) if text else {}


def store(content: bytes, path: Path) -> str:
    """Write a file so that a kill leaves it whole or absent; return its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return sha256_of(content)


def remove_partials(folder: Path) -> None:
    """Remove what a killed run left half written in its own folder of images."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink()
