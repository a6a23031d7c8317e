"""What a file holds besides pixels: its blocks of metadata, and the limits within which it is looked at.

Whatever a file claims, no byte of it is looked at twice, and the work is bounded: parts that are walked over, blocks,
bytes of metadata, what they unpack to, and time. A limit that was met is a sentence in `problems`.
"""

import time
import zlib
from dataclasses import dataclass, field
from enum import StrEnum

LARGEST_BLOCK = 1 << 20
MOST_BLOCKS, MOST_PROBLEMS = 64, 20
MOST_METADATA = 4 * LARGEST_BLOCK
"""Bytes of all blocks of a file together, and never more than the file has."""
MOST_UNPACKED = 2 * LARGEST_BLOCK
"""Bytes of all compressed blocks of a file together, unpacked."""
MOST_CREDENTIALS = 16 * LARGEST_BLOCK
MOST_PARTS = 100_000
"""Chunks, segments, boxes or sub-blocks that are walked over."""
MOST_SECONDS = 2.0
"""Time of the processor; a file within the other limits needs a part of it."""
_CLOCK_EVERY = 1000


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
        format: of the container. data: the whole file.
        problems: sentences on what could not be read; each once, the first `MOST_PROBLEMS`.
        end: where the picture ends, by its own structure; None where that is not known.
        credentials: bytes of C2PA Content Credentials so far.
        seen, unpacked: bytes of metadata that were looked at so far, and that compressed blocks came to.
        parts: chunks, segments or boxes so far.
    """

    format: str
    data: bytes
    blocks: list[Block] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    end: int | None = None
    credentials: int = 0
    seen: int = 0
    unpacked: int = 0
    parts: int = 0
    started: float = field(default_factory=time.thread_time)

    def note(self, problem: str) -> None:
        """Remember a sentence on what could not be read."""
        if len(self.problems) < MOST_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)

    def next_part(self) -> bool:
        """Count a part that is walked over; False, and a problem, once there are too many or it takes too long."""
        self.parts += 1
        if self.parts > MOST_PARTS:
            self.note(f"The file has more than {MOST_PARTS} parts; the others were not looked at.")
            return False
        return self.parts % _CLOCK_EVERY > 0 or self.in_time()

    def in_time(self) -> bool:
        """Whether there is time left; False, and a problem, once there is none."""
        if time.thread_time() - self.started < MOST_SECONDS:
            return True
        self.note(f"The metadata takes more than {MOST_SECONDS:g} s to read; the rest was not read.")
        return False

    def add(self, kind: Kind, start: int, end: int, key: str = "") -> None:
        """Keep a block of the file, from `start` to `end`, unless a limit is met; bytes of the pixels cost nothing."""
        if self._has_room(kind, end - start, key):
            self.blocks.append(Block(kind, self.data[start:end], key))

    def add_joined(self, kind: Kind, data: bytes, key: str = "") -> None:
        """As `add`, for a block that lies in the file in pieces."""
        if self._has_room(kind, len(data), key):
            self.blocks.append(Block(kind, data, key))

    def add_deflated(self, kind: Kind, start: int, end: int, key: str) -> None:
        """Keep a zlib-compressed block; what one unpacks to is bounded, and what all of them do."""
        if self.unpacked >= MOST_UNPACKED:
            self.note("The file has more compressed metadata than facecheck unpacks; the rest was not read.")
            return
        if not self._has_room(kind, end - start, key):
            return
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(self.data[start:end], LARGEST_BLOCK)
        except zlib.error as error:
            self.unpacked += LARGEST_BLOCK  # As much work as that may have been done.
            self.note(f"A compressed block{_named(key)} is damaged ({error}).")
            return
        self.unpacked += len(data)
        if unpacker.unconsumed_tail:
            self.note(f"A block{_named(key)} unpacks to more than {LARGEST_BLOCK} bytes; it was not read.")
            return
        self.blocks.append(Block(kind, data, key))

    def add_credentials(self, size: int) -> None:
        """Note that so many bytes are C2PA Content Credentials; they are read, once, from the whole file."""
        if not self.credentials:
            self.blocks.append(Block(Kind.C2PA, b""))
        self.credentials += size

    def truncated(self, part: str) -> None:
        """Note that a part reaches beyond the end of the file, or that the end is missing."""
        self.note(f"The file is truncated or damaged at its {part}; what follows was not read.")

    def _has_room(self, kind: Kind, size: int, key: str) -> bool:
        if size > LARGEST_BLOCK:
            self.note(f"A block of {kind} data{_named(key)} has {size} bytes; it was not read.")
        elif len(self.blocks) >= MOST_BLOCKS:
            self.note(f"The file has more than {MOST_BLOCKS} blocks of metadata; the others were not read.")
        elif self.seen + size > MOST_METADATA:
            self.note(f"The file has more than {MOST_METADATA} bytes of metadata; the rest was not read.")
        elif self.seen + size > len(self.data):
            self.note("The file names the same bytes as metadata more than once; they were read once.")
        else:
            self.seen += size
            return True
        return False


def decoded(data: bytes) -> str:
    """Text in UTF-8, or in Latin-1 where it is none; no control characters but line breaks and tabs."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if not text.isprintable():
        text = text.translate({ord(letter): None for letter in set(text) - {"\n", "\t"} if not letter.isprintable()})
    return text.strip()


def _named(key: str) -> str:
    return f" named {key[:40]!r}" if key else ""
