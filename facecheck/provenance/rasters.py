"""PNG, JPEG, WebP and GIF: their metadata blocks, found by walking over chunks and segments."""

import re
import struct

from facecheck.provenance.contents import MOST_PARTS, Contents, Kind, decoded

PNG_START, GIF_STARTS, JPEG_START = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), b"\xff\xd8\xff"
EXIF_START, XMP_START = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
PHOTOSHOP_START = b"Photoshop 3.0\x00"
XMP_KEY = "XML:com.adobe.xmp"
C2PA_JUMBF = bytes.fromhex("6332706100110010800000aa00389b71")
GIF_XMP_TRAILER = 257
# In the coded pixels a marker is 0xFF with neither a stuffed zero nor a restart mark after it.
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SOS, _EOI, _COM, _APP1, _APP11, _APP13 = 0xDA, 0xD9, 0xFE, 0xE1, 0xEB, 0xED


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
