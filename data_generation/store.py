"""A folder of images: the files, what was measured on them, and the rows that say so; whole whenever it is killed.

A file that is made here is a lossless PNG that says what it is: the recipe in a text chunk, the IPTC source type in an
XMP packet. Its bytes depend on pixels and recipe only, so the same recipe gives the same file. Of an image that was
made elsewhere the original bytes are kept.
"""

import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data_generation import GenerationError, gate
from data_generation.gate import Gate, Limits
from data_generation.record import Recipe, Row, open_and_read
from facecheck.errors import LedgerBusyError, LedgerError
from facecheck.files import sha256_of, write_atomically
from facecheck.ledger import Ledger, whole_lines

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
class Master:
    """An image that is to be recorded; the fields are those of `Row`.

    Attributes:
        content: the bytes of its file. suffix: of its name, such as ".png". shown: (H, W, 3) uint8 RGB.
    """

    recipe: Recipe
    content: bytes
    shown: Pixels
    licence: str
    suffix: str = ".png"
    flagged: bool | None = None
    versions: dict[str, str] = field(default_factory=dict)
    pair: str = ""
    seconds: float = 0.0
    age: str = ""
    several: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
    known_by: str = ""
    answer: dict[str, Any] = field(default_factory=dict)


class Recorder:
    """Stores images in `folder`/images, measures them, and says what the gate makes of each alone.

    Args:
        suffix: of the folder of images, for shards.
    """

    def __init__(self, folder: Path, suffix: str = "", limits: Limits | None = None) -> None:
        self.folder, self.images, self.limits = folder, folder / f"images{suffix}", limits or Limits()
        self.gate = Gate()

    def rows(self, masters: Sequence[Master]) -> Iterator[Row]:
        """One row for each, when its file is there."""
        measured = self.gate.measure([master.shown for master in masters])
        for master, found in zip(masters, measured, strict=True):
            height, width = master.shown.shape[:2]
            size, recipe = (width, height), master.recipe
            path = self.images / f"{recipe.id}{master.suffix}"
            sha256 = store(master.content, path)
            reasons = gate.reasons(found, size, master.flagged, self.limits, master.age, master.several)
            yield Row(
                recipe, path.relative_to(self.folder).as_posix(), sha256, found.phash, found.faces, found.contrast,
                found.clipped, master.flagged, reasons, master.licence, master.versions, master.pair,
                round(master.seconds, 3), datetime.now(UTC).isoformat(timespec="seconds"), master.age, master.several,
                (0, 0) if size == (recipe.width, recipe.height) else size, master.attributes, master.known_by,
                master.answer,
            )  # fmt: skip


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
            self.ids = {row.id for row in open_and_read(self._ledger, lambda path: list(read_manifest(path)))}
        except LedgerBusyError as error:
            raise GenerationError(f"another run is writing to {self.path}; wait for it, or use --shard") from error
        except LedgerError as error:
            raise GenerationError(str(error)) from error
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
