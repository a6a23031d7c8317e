"""What a container holds besides pixels, with the limits that hostile files run into."""

import zlib
from dataclasses import dataclass, field
from enum import StrEnum

LARGEST_BLOCK = 1 << 20
MOST_BLOCKS, MOST_PROBLEMS = 64, 20
MOST_UNPACKED = 16 * LARGEST_BLOCK
"""Of all compressed blocks of a file together."""
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
        problems: sentences on what could not be read; each once, the first `MOST_PROBLEMS`.
        appended: bytes after the container's end.
        unpacked: bytes that compressed blocks came to so far.
    """

    format: str
    blocks: list[Block] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    appended: int = 0
    unpacked: int = 0

    def note(self, problem: str) -> None:
        """Remember a sentence on what could not be read."""
        if len(self.problems) < MOST_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)

    def add(self, kind: Kind, data: bytes, key: str = "") -> None:
        """Keep a block, unless it is too large or there are too many."""
        if len(data) > LARGEST_BLOCK:
            self.note(f"A block of {kind} data{_named(key)} has {len(data)} bytes; it was not read.")
        elif len(self.blocks) >= MOST_BLOCKS:
            self.note(f"The file has more than {MOST_BLOCKS} blocks of metadata; the others were not read.")
        else:
            self.blocks.append(Block(kind, data, key))

    def add_deflated(self, kind: Kind, data: bytes, key: str) -> None:
        """Keep a zlib-compressed block; what one unpacks to is bounded, and what all of them do."""
        if len(self.blocks) >= MOST_BLOCKS or self.unpacked >= MOST_UNPACKED:
            self.note("The file has more compressed metadata than facecheck unpacks; the rest was not read.")
            return
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, LARGEST_BLOCK)
        except zlib.error as error:
            self.unpacked += LARGEST_BLOCK  # As much work as that may have been done.
            self.note(f"A compressed block{_named(key)} is damaged ({error}).")
            return
        self.unpacked += len(data)
        if unpacker.unconsumed_tail:
            self.note(f"A block{_named(key)} unpacks to more than {LARGEST_BLOCK} bytes; it was not read.")
            return
        self.add(kind, data, key)

    def add_credentials(self) -> None:
        """Note, once, that the file has C2PA Content Credentials; they are read from the whole file."""
        if not any(block.kind == Kind.C2PA for block in self.blocks):
            self.blocks.append(Block(Kind.C2PA, b""))

    def truncated(self, part: str) -> None:
        """Note that a part reaches beyond the end of the file, or that the end is missing."""
        self.note(f"The file is truncated or damaged at its {part}; what follows was not read.")


def decoded(data: bytes) -> str:
    """Text in UTF-8, or in Latin-1 where it is none; no control characters but line breaks and tabs."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t").strip()


def _named(key: str) -> str:
    return f" named {key[:40]!r}" if key else ""
