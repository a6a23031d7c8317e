"""What a container holds besides pixels, with the limits that hostile files run into."""

import zlib
from dataclasses import dataclass, field
from enum import StrEnum

LARGEST_BLOCK = 1 << 20
MOST_BLOCKS = 64
MOST_PARTS = 100_000
"""Chunks, segments or boxes that are walked over."""


class Kind(StrEnum):
    """What a block of metadata is."""

    TEXT = "text"
    COMMENT = "comment"
    EXIF = "exif"
    XMP = "xmp"
    IPTC = "iptc"
    C2PA = "c2pa"


@dataclass(frozen=True)
class Block:
    """One block of metadata. `key`: the keyword of a text block, else empty."""

    kind: Kind
    data: bytes
    key: str = ""


@dataclass
class Contents:
    """The blocks of one file, filled by the reader of its container.

    Attributes:
        problems: sentences on what could not be read.
        appended: bytes after the container's end.
    """

    format: str
    blocks: list[Block] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    appended: int = 0

    def add(self, kind: Kind, data: bytes, key: str = "") -> None:
        """Keep a block, unless it is too large or there are too many."""
        if len(data) > LARGEST_BLOCK:
            self.problems.append(f"A block of {kind} data{_named(key)} has {len(data)} bytes; it was not read.")
        elif len(self.blocks) == MOST_BLOCKS:
            self.problems.append(f"The file has more than {MOST_BLOCKS} blocks of metadata; the others were not read.")
        elif len(self.blocks) < MOST_BLOCKS:
            self.blocks.append(Block(kind, data, key))

    def add_deflated(self, kind: Kind, data: bytes, key: str) -> None:
        """Keep a zlib-compressed block; what it unpacks to is bounded."""
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(data, LARGEST_BLOCK)
        except zlib.error as error:
            self.problems.append(f"A compressed block{_named(key)} is damaged ({error}).")
            return
        if unpacker.unconsumed_tail:
            self.problems.append(f"A block{_named(key)} unpacks to more than {LARGEST_BLOCK} bytes; it was not read.")
            return
        self.add(kind, unpacked, key)

    def add_credentials(self) -> None:
        """Note, once, that the file has C2PA Content Credentials; they are read from the whole file."""
        if not any(block.kind == Kind.C2PA for block in self.blocks):
            self.blocks.append(Block(Kind.C2PA, b""))

    def truncated(self, part: str) -> None:
        """Note that a part reaches beyond the end of the file, or that the end is missing."""
        self.problems.append(f"The file is truncated or damaged at its {part}; what follows was not read.")


def decoded(data: bytes) -> str:
    """Text in UTF-8, or in Latin-1 where it is none; no control characters but line breaks and tabs."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t").strip()


def _named(key: str) -> str:
    return f" named {key[:40]!r}" if key else ""
