"""What a file holds besides pixels: the blocks of metadata in PNG, JPEG, WebP and GIF, by walking over their parts.

Hostile files run into the limits here; the other containers are in `bmff` and `tiff`.
"""

import re
import struct
import zlib
from dataclasses import dataclass, field
from enum import StrEnum

LARGEST_BLOCK = 1 << 20
MOST_BLOCKS, MOST_PROBLEMS = 64, 20
MOST_UNPACKED = 16 * LARGEST_BLOCK
"""Of all compressed blocks of a file together."""
MOST_PARTS = 100_000
"""Chunks, segments or boxes that are walked over."""
PNG_START, GIF_STARTS, JPEG_START = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"\xff\xd8\xff"
EXIF_START, XMP_START = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
PHOTOSHOP_START = b"Photoshop 3.0\x00"
XMP_KEY = "XML:com.adobe.xmp"
C2PA_JUMBF = bytes.fromhex("6332706100110010800000aa00389b71")
GIF_XMP_TRAILER = 257
# In the coded pixels a marker is 0xFF with neither a stuffed zero nor a restart mark after it.
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SOS, _EOI, _COM, _APP1, _APP11, _APP13 = 0xDA, 0xD9, 0xFE, 0xE1, 0xEB, 0xED


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


def read_png(data: bytes, contents: Contents) -> None:
    """PNG (ISO/IEC 15948): chunks of length, type, data, CRC."""
    at = len(PNG_START)
    for _ in range(MOST_PARTS):
        if at + 12 > len(data):
            return contents.truncated("chunks")
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return contents.truncated(f"chunk {decoded(name)!r}")
        if name == b"IEND":
            contents.appended = len(data) - end
            return None
        _add_png_chunk(name, data[at + 8 : end - 4] if name != b"IDAT" else b"", contents)
        at = end
    return contents.truncated("chunks")


def _add_png_chunk(name: bytes, body: bytes, contents: Contents) -> None:
    if name == b"caBX":
        contents.add_credentials()
    elif name == b"eXIf":
        contents.add(Kind.EXIF, body)
    elif name in (b"tEXt", b"zTXt", b"iTXt"):
        keyword, _, rest = body.partition(b"\x00")
        key, kind = decoded(keyword[:79]), Kind.TEXT
        packed = name == b"zTXt"
        if name == b"iTXt":
            packed, rest = rest[:1] == b"\x01", rest[2:].partition(b"\x00")[2].partition(b"\x00")[2]
            kind = Kind.XMP if key == XMP_KEY else Kind.TEXT
        if packed:
            contents.add_deflated(kind, rest[1:] if name == b"zTXt" else rest, key)
        else:
            contents.add(kind, rest, key)


def read_jpeg(data: bytes, contents: Contents) -> None:
    """JPEG (ITU-T T.81): marker segments, with coded pixels after each start of scan."""
    at = 2
    for _ in range(MOST_PARTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 4 > len(data) and data[at : at + 2] != bytes((0xFF, _EOI)):
            return contents.truncated("end")
        if data[at] != 0xFF:
            return contents.truncated("segments")
        marker = data[at + 1]
        if marker == _EOI:
            contents.appended = len(data) - at - 2
            return None
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end > len(data):
            return contents.truncated(f"segment {marker:02X}")
        _add_segment(marker, data[at + 4 : end], contents)
        found = MARKER.search(data, end) if marker == _SOS else None
        if marker == _SOS and found is None:
            return contents.truncated("end")
        at = found.start() if found else end
    return contents.truncated("segments")


def _add_segment(marker: int, body: bytes, contents: Contents) -> None:
    if marker == _APP1 and body.startswith(EXIF_START):
        contents.add(Kind.EXIF, body[len(EXIF_START) :])
    elif marker == _APP1 and body.startswith(XMP_START):
        contents.add(Kind.XMP, body[len(XMP_START) :])
    elif marker == _APP13 and body.startswith(PHOTOSHOP_START):
        contents.add(Kind.IPTC, body[len(PHOTOSHOP_START) :])
    elif marker == _APP11 and body[:2] == b"JP" and body[12:16] == b"jumb" and body[24:40] == C2PA_JUMBF:
        contents.add_credentials()
    elif marker == _COM:
        contents.add(Kind.COMMENT, body)


def read_webp(data: bytes, contents: Contents) -> None:
    """WebP (RFC 9649): RIFF chunks of type, length, data, padded to even lengths."""
    stop = 8 + struct.unpack_from("<I", data, 4)[0]
    at = 12
    for _ in range(MOST_PARTS):
        if at + 8 > min(stop, len(data)):
            break
        name, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length
        if end > len(data):
            return contents.truncated(f"chunk {decoded(name)!r}")
        if name == b"EXIF":
            contents.add(Kind.EXIF, data[at + 8 : end].removeprefix(EXIF_START))
        elif name == b"XMP ":
            contents.add(Kind.XMP, data[at + 8 : end])
        elif name == b"C2PA":
            contents.add_credentials()
        at = end + length % 2
    if not at - 1 <= stop <= len(data) + 1:
        return contents.truncated("end")
    contents.appended = max(len(data) - stop, 0)
    return None


def read_gif(data: bytes, contents: Contents) -> None:
    """GIF (89a): extensions and pictures, each a chain of sub-blocks."""
    if len(data) < 13:
        return contents.truncated("header")
    at = 13 + _palette(data[10])
    for _ in range(MOST_PARTS):
        kind = data[at : at + 1]
        if kind == b"\x3b":
            contents.appended = len(data) - at - 1
            return None
        if kind == b"\x2c" and at + 11 < len(data):
            at = _after_sub_blocks(data, at + 11 + _palette(data[at + 9]))
        elif kind == b"\x21":
            end = _after_sub_blocks(data, at + 2)
            _add_extension(data[at + 1 : min(end, len(data))], contents)
            at = end
        else:
            break
    return contents.truncated("blocks")


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _add_extension(body: bytes, contents: Contents) -> None:
    """One extension: its label, then its sub-blocks."""
    if body[:1] == b"\xfe":
        contents.add(Kind.COMMENT, _joined(body[1:]))
    elif body[:13] == b"\xff\x0bXMP DataXMP":
        contents.add(Kind.XMP, body[13 : -GIF_XMP_TRAILER - 1])
    elif body[:10] == b"\xff\x0bC2PA_GIF":
        contents.add_credentials()


def _joined(chain: bytes) -> bytes:
    parts, at = [], 0
    while at < len(chain) and chain[at]:
        parts.append(chain[at + 1 : at + 1 + chain[at]])
        at += chain[at] + 1
    return b"".join(parts)
