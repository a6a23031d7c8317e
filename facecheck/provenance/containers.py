"""PNG, JPEG, WebP and GIF: their blocks of metadata, by walking over their parts. Other containers: `bmff`, `tiff`."""

import re
import struct
from collections.abc import Iterator

from facecheck.provenance.contents import LARGEST_BLOCK, Contents, Kind, decoded

PNG_START, GIF_STARTS, JPEG_START = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"\xff\xd8\xff"
EXIF_START, XMP_START = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
PHOTOSHOP_START = b"Photoshop 3.0\x00"
XMP_KEY = "XML:com.adobe.xmp"
C2PA_JUMBF = bytes.fromhex("6332706100110010800000aa00389b71")
GIF_XMP_TRAILER = 257
# In the coded pixels a marker is 0xFF with neither a stuffed zero nor a restart mark after it.
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
SOS, EOI, APP1 = 0xDA, 0xD9, 0xE1
_COM, _APP11, _APP13 = 0xFE, 0xEB, 0xED
_FILL = re.compile(rb"\xff*")


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


def read_webp(contents: Contents) -> None:
    """WebP (RFC 9649): RIFF chunks of type, length, data, padded to even lengths."""
    data = contents.data
    stop = 8 + int.from_bytes(data[4:8], "little")
    at = 12
    while at + 8 <= min(stop, len(data)) and contents.next_part():
        name, length = struct.unpack_from("<4sI", data, at)
        start, end = at + 8, at + 8 + length
        if end > len(data):
            return contents.truncated(f"chunk {decoded(name)!r}")
        if name == b"EXIF":
            contents.add(Kind.EXIF, start + len(EXIF_START) * data.startswith(EXIF_START, start, end), end)
        elif name == b"XMP ":
            contents.add(Kind.XMP, start, end)
        elif name == b"C2PA":
            contents.add_credentials(length)
        at = end + length % 2
    if not at - 1 <= stop <= len(data) + 1:
        return contents.truncated("end")
    contents.end = min(stop, len(data))
    return None


def read_gif(contents: Contents) -> None:
    """GIF (89a): extensions and pictures, each a chain of sub-blocks."""
    data = contents.data
    if len(data) < 13:
        return contents.truncated("header")
    at = 13 + _palette(data[10])
    while contents.next_part():
        kind = data[at : at + 1]
        if kind == b"\x3b":
            contents.end = at + 1
            return None
        if kind == b"\x2c" and at + 11 < len(data):
            at = _after_sub_blocks(data, at + 11 + _palette(data[at + 9]))
        elif kind == b"\x21":
            end = _after_sub_blocks(data, at + 2)
            _add_extension(at + 1, min(end, len(data)), contents)
            at = end
        else:
            return contents.truncated("blocks")
    return None


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _add_extension(start: int, end: int, contents: Contents) -> None:
    """One extension: its label, then its sub-blocks."""
    data = contents.data
    if data.startswith(b"\xfe", start, end):
        contents.add_joined(Kind.COMMENT, _joined(data, start + 1, min(end, start + 1 + LARGEST_BLOCK)))
    elif data.startswith(b"\xff\x0bXMP DataXMP", start, end):
        contents.add(Kind.XMP, start + 13, max(end - GIF_XMP_TRAILER - 1, start + 13))
    elif data.startswith(b"\xff\x0bC2PA_GIF", start, end):
        contents.add_credentials(end - start)


def _joined(data: bytes, at: int, end: int) -> bytes:
    parts = []
    while at < end and data[at]:
        parts.append(data[at + 1 : min(at + 1 + data[at], end)])
        at += data[at] + 1
    return b"".join(parts)
