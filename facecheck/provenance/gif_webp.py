"""WebP and GIF, by walking over their parts."""

import struct

from facecheck.provenance.containers import EXIF_START, LARGEST_BLOCK, Contents, Kind, decoded

GIF_STARTS = (b"GIF87a", b"GIF89a")
GIF_XMP_TRAILER = 257


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
