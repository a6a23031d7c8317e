"""TIFF directories, which EXIF blocks are too: a few tags, read within bounds."""

import struct

from facecheck.provenance.containers import LARGEST_BLOCK, Contents, Kind, decoded

TIFF_STARTS = (b"II*\x00", b"MM\x00*")
DESCRIPTION, MAKE, MODEL, SOFTWARE, ARTIST = 0x010E, 0x010F, 0x0110, 0x0131, 0x013B
USER_COMMENT, EXIF_DIRECTORY = 0x9286, 0x8769
XMP, IPTC_RECORDS, C2PA = 700, 33723, 52545
_WANTED = (DESCRIPTION, MAKE, MODEL, SOFTWARE, ARTIST, USER_COMMENT, EXIF_DIRECTORY, XMP, IPTC_RECORDS, C2PA)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_ENTRIES = 1000

Tags = dict[int, bytes]


def read_tiff(contents: Contents) -> None:
    """TIFF 6.0: the tags of its first picture; those that hold XMP, IPTC and credentials become blocks."""
    tags = read_tags(contents.data)
    if tags is None:
        return contents.truncated("directory")
    if XMP in tags:
        contents.add_joined(Kind.XMP, tags[XMP])
    if C2PA in tags:
        contents.add_credentials(len(tags[C2PA]))
    if IPTC_RECORDS in tags:
        contents.add_joined(Kind.IPTC, tags[IPTC_RECORDS])
    contents.add_joined(Kind.EXIF, _head(tags))
    return None


def read_tags(data: bytes) -> Tags | None:
    """The wanted tags of the first directory and of its EXIF directory; None where there is no such directory."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return None
    first = _directory(data, struct.unpack_from(order + "I", data, 4)[0], order)
    if first is None:
        return None
    pointer = first.pop(EXIF_DIRECTORY, b"")
    if len(pointer) == 4:
        first |= _directory(data, struct.unpack(order + "I", pointer)[0], order) or {}
    first.pop(EXIF_DIRECTORY, None)
    return first


def _directory(data: bytes, at: int, order: str) -> Tags | None:
    """Entries of tag, type, count, and value or offset, twelve bytes each (TIFF 6.0, section 2)."""
    if at + 2 > len(data):
        return None
    tags: Tags = {}
    room = len(data)  # Entries may point at the same bytes again and again.
    for index in range(min(struct.unpack_from(order + "H", data, at)[0], _MOST_ENTRIES)):
        entry = at + 2 + index * 12
        if entry + 12 > len(data):
            break
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        size = _SIZES.get(kind, 0) * count
        start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
        is_wanted = tag in _WANTED and tag not in tags and 0 < size <= min(LARGEST_BLOCK, room)
        if is_wanted and start + size <= len(data):
            tags[tag] = data[start : start + size]
            room -= size
    return tags


def text(value: bytes) -> str:
    """The text of an ASCII tag, which many programs fill with UTF-8."""
    return decoded(value.rstrip(b"\x00"))


def user_comment(value: bytes) -> str:
    """The text of a UserComment: eight bytes that name the coding, then the text (EXIF 2.32, 4.6.5)."""
    coding, body = value[:8], value[8:]
    if coding == b"UNICODE\x00":
        # The standard leaves the byte order open. Letters of most prompts have a zero byte: on which side?
        big = body[0::2].count(0) >= body[1::2].count(0)
        return decoded(body.decode("utf-16-be" if big else "utf-16-le", "replace").encode())
    return text(body if coding in (b"ASCII\x00\x00\x00", bytes(8)) else value)


def _head(tags: Tags) -> bytes:
    """The text tags of a TIFF as a small EXIF block, so that its pixels are not carried along."""
    kept = {tag: value for tag, value in sorted(tags.items()) if tag not in (XMP, IPTC_RECORDS, C2PA)}
    start = 8 + 2 + 12 * len(kept)
    directory, values = struct.pack("<H", len(kept)), b""
    for tag, value in kept.items():
        padded = value.ljust(5, b"\x00")
        directory += struct.pack("<HHII", tag, 7, len(padded), start + len(values))
        values += padded
    return b"II*\x00" + struct.pack("<I", 8) + directory + values
