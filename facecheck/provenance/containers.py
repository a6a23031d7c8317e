"""What a file holds besides pixels: its blocks of metadata, the limits within which it is looked at; PNG and JPEG.

Whatever a file claims, no byte of it is looked at twice, and the work is bounded: parts that are walked over, blocks,
bytes of metadata, what they unpack to, and time. A limit that was met is a sentence in `problems`. The other containers
are in `formats` and, TIFF, in `exif_xmp`.
"""

import re
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from facecheck.provenance import Sentence

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
PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
EXIF_START, XMP_START = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
PHOTOSHOP_START = b"Photoshop 3.0\x00"
XMP_KEY = "XML:com.adobe.xmp"
C2PA_JUMBF = bytes.fromhex("6332706100110010800000aa00389b71")
# In the coded pixels a marker is 0xFF with neither a stuffed zero nor a restart mark after it.
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
SOS, EOI, APP1 = 0xDA, 0xD9, 0xE1
_COM, _APP11, _APP13 = 0xFE, 0xEB, 0xED
_FILL = re.compile(rb"\xff*")


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
        problems: sentences on what could not be read; each once, the first `MOST_PROBLEMS`. noted: the same, in parts.
        end: where the picture ends, by its own structure; None where that is not known.
        credentials: bytes of C2PA Content Credentials so far.
        seen, unpacked: bytes of metadata that were looked at so far, and that compressed blocks came to.
        parts: chunks, segments or boxes so far.
    """

    format: str
    data: bytes
    blocks: list[Block] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    noted: set[tuple[object, ...]] = field(default_factory=set)
    end: int | None = None
    credentials: int = 0
    seen: int = 0
    unpacked: int = 0
    parts: int = 0
    started: float = field(default_factory=time.thread_time)

    def note(self, problem: str, **values: object) -> None:
        """Remember a sentence on what could not be read; values fill its places."""
        told = problem, *values.values()
        if told not in self.noted and len(self.problems) < MOST_PROBLEMS:  # A hostile file has thousands of the same.
            self.noted.add(told)
            self.problems.append(Sentence(problem, **values))

    def next_part(self) -> bool:
        """Count a part that is walked over; False, and a problem, once there are too many or it takes too long."""
        self.parts += 1
        if self.parts > MOST_PARTS:
            self.note("The file has more than {most} parts; the others were not looked at.", most=MOST_PARTS)
            return False
        return self.parts % _CLOCK_EVERY > 0 or self.in_time()

    def in_time(self) -> bool:
        """Whether there is time left; False, and a problem, once there is none."""
        if time.thread_time() - self.started < MOST_SECONDS:
            return True
        said = "The metadata takes more than {seconds} s to read; the rest was not read."
        self.note(said, seconds=f"{MOST_SECONDS:g}")
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
            self.note("A compressed block{named} is damaged ({error}).", named=_named(key), error=str(error))
            return
        self.unpacked += len(data)
        if unpacker.unconsumed_tail:
            said = "A block{named} unpacks to more than {most} bytes; it was not read."
            self.note(said, named=_named(key), most=LARGEST_BLOCK)
            return
        self.blocks.append(Block(kind, data, key))

    def add_credentials(self, size: int) -> None:
        """Note that so many bytes are C2PA Content Credentials; they are read, once, from the whole file."""
        if not self.credentials:
            self.blocks.append(Block(Kind.C2PA, b""))
        self.credentials += size

    def truncated(self, part: str) -> None:
        """Note that a part reaches beyond the end of the file, or that the end is missing."""
        self.note("The file is truncated or damaged at its {part}; what follows was not read.", part=Sentence(part))

    def _has_room(self, kind: Kind, size: int, key: str) -> bool:
        if size > LARGEST_BLOCK:
            said = "A block of {kind} data{named} has {size} bytes; it was not read."
            self.note(said, kind=kind, named=_named(key), size=size)
        elif len(self.blocks) >= MOST_BLOCKS:
            self.note("The file has more than {most} blocks of metadata; the others were not read.", most=MOST_BLOCKS)
        elif self.seen + size > MOST_METADATA:
            self.note("The file has more than {most} bytes of metadata; the rest was not read.", most=MOST_METADATA)
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
    return Sentence(" named {name}", name=repr(key[:40])) if key else ""


def read_png(contents: Contents) -> None:
    """PNG (ISO/IEC 15948): chunks of length, type, data, CRC."""
    at, data = len(PNG_START), contents.data
    while contents.next_part():
        if at + 12 > len(data):
            return contents.truncated("chunks")
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return contents.truncated(f"chunk {decoded(name)!r}")
        if name == b"IEND":
            contents.end = end
            return None
        _add_png_chunk(name, at + 8, end - 4, contents)
        at = end
    return None


def _add_png_chunk(name: bytes, start: int, end: int, contents: Contents) -> None:
    if name == b"caBX":
        contents.add_credentials(end - start)
    elif name == b"eXIf":
        contents.add(Kind.EXIF, start, end)
    elif name in (b"tEXt", b"zTXt", b"iTXt"):
        keyword, _, _ = contents.data[start : min(start + 80, end)].partition(b"\x00")
        key, kind, packed = decoded(keyword), Kind.TEXT, name == b"zTXt"
        start += len(keyword) + 1
        if name == b"iTXt":
            # Then a flag, a method, a language and the keyword in that language.
            packed, kind = contents.data[start : start + 1] == b"\x01", Kind.XMP if key == XMP_KEY else Kind.TEXT
            language = contents.data.find(b"\x00", start + 2, end)
            start = contents.data.find(b"\x00", language + 1, end) + 1 if language >= 0 else end
        start = min(start + (name == b"zTXt"), end)
        if packed:
            contents.add_deflated(kind, start, end, key)
        else:
            contents.add(kind, start, end, key)


def read_jpeg(contents: Contents) -> None:
    """JPEG (ITU-T T.81)."""
    for marker, start, end in jpeg_segments(contents):
        _add_segment(marker, start, end, contents)


def jpeg_segments(contents: Contents, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """The segments of the JPEG that begins at `at`: marker, begin and end of the content; sets `contents.end`."""
    data = contents.data
    at += 2
    while contents.next_part():
        at = _FILL.match(data, at + 1).end() - 1 if data[at : at + 2] == b"\xff\xff" else at  # type: ignore[union-attr]
        marker = data[at + 1] if at + 2 <= len(data) else 0
        if marker == EOI and data[at] == 0xFF:
            contents.end = at + 2
            return
        length = int.from_bytes(data[at + 2 : at + 4])
        if at + 4 > len(data) or data[at] != 0xFF or length < 2:
            return contents.truncated("segments" if at + 4 <= len(data) else "end")
        end = at + 2 + length
        if end > len(data):
            return contents.truncated(f"segment {marker:02X}")
        yield marker, at + 4, end
        found = MARKER.search(data, end) if marker == SOS else None
        if marker == SOS and found is None:
            return contents.truncated("end")
        at = found.start() if found else end


def _add_segment(marker: int, start: int, end: int, contents: Contents) -> None:
    data = contents.data
    if marker == APP1 and data.startswith(EXIF_START, start, end):
        contents.add(Kind.EXIF, start + len(EXIF_START), end)
    elif marker == APP1 and data.startswith(XMP_START, start, end):
        contents.add(Kind.XMP, start + len(XMP_START), end)
    elif marker == _APP13 and data.startswith(PHOTOSHOP_START, start, end):
        contents.add(Kind.IPTC, start + len(PHOTOSHOP_START), end)
    elif marker == _APP11 and data.startswith(b"JP", start, end):
        # The first segment names the kind of a box; those that go on with it repeat its head.
        if contents.credentials or (data[start + 12 : start + 16], data[start + 24 : start + 40]) == (
            b"jumb",
            C2PA_JUMBF,
        ):
            contents.add_credentials(end - start)
    elif marker == _COM:
        contents.add(Kind.COMMENT, start, end)
