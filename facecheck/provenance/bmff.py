"""ISO base media files (AVIF, HEIF) and JPEG 2000: boxes within boxes."""

import struct
from collections.abc import Iterator

from facecheck.provenance.containers import MOST_PARTS, Contents, Kind

JPEG2000_START = b"\x00\x00\x00\x0cjP  "
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
MOST_ITEMS = 1000

Box = tuple[bytes, int, int]
"""Type, and where its content begins and ends."""


def read_bmff(data: bytes, contents: Contents) -> None:
    """ISO/IEC 14496-12: credentials and XMP in `uuid` boxes; EXIF and XMP as items of the `meta` box."""
    for name, start, end in _boxes(data, 0, len(data), contents):
        if name == b"uuid" and data[start : start + 16] == C2PA_UUID:
            contents.add_credentials()
        elif name == b"uuid" and data[start : start + 16] == XMP_UUID:
            contents.add(Kind.XMP, data[start + 16 : end])
        elif name == b"meta":
            try:
                _add_items(data, start + 4, end, contents)
            except (struct.error, IndexError, ValueError):
                contents.truncated("table of items")


def _boxes(data: bytes, at: int, stop: int, contents: Contents) -> Iterator[Box]:
    for _ in range(MOST_PARTS):
        if at == stop:
            return
        if at + 8 > stop:
            break
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1 and start + 8 <= stop:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        end = stop if size == 0 else at + size
        if not start <= end <= stop:
            break
        yield name, start, end
        at = end
    contents.truncated("boxes")


def _add_items(data: bytes, start: int, end: int, contents: Contents) -> None:
    """Items of type Exif, or mime with XMP, which the `iinf` box names and the `iloc` box places."""
    inside = {name: (begin, stop) for name, begin, stop in _boxes(data, start, end, contents)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    kinds = _item_kinds(data, *inside[b"iinf"], contents)
    for item, begin, stop in _item_places(data, inside[b"iloc"][0]):
        if item in kinds and 0 <= begin < stop <= len(data):
            body = data[begin:stop]
            # An Exif item begins with the offset of its TIFF header, counted from behind that number.
            skip = 4 + struct.unpack_from(">I", body)[0] if kinds[item] == Kind.EXIF else 0
            contents.add(kinds[item], body[skip:])


def _item_kinds(data: bytes, start: int, end: int, contents: Contents) -> dict[int, Kind]:
    entries = start + (8 if data[start] else 6)
    kinds = {}
    for name, begin, stop in _boxes(data, entries, end, contents):
        version = data[begin]
        if name != b"infe" or version < 2:
            continue
        wide = version > 2
        item = struct.unpack_from(">I" if wide else ">H", data, begin + 4)[0]
        rest = data[begin + (10 if wide else 8) : min(stop, begin + 256)]
        if rest[:4] == b"Exif":
            kinds[item] = Kind.EXIF
        elif rest[:4] == b"mime" and b"application/rdf+xml" in rest[4:].split(b"\x00"):
            kinds[item] = Kind.XMP
    return kinds


def _item_places(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Item, begin and end, of items in one piece whose offsets count from the start of the file."""
    version, sizes, more = data[at], data[at + 4], data[at + 5]
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, (more & 15) * (version > 0)
    count = int.from_bytes(data[at + 6 : at + (10 if version > 1 else 8)])
    at += 10 if version > 1 else 8
    for _ in range(min(count, MOST_ITEMS)):
        wide = 4 if version > 1 else 2
        item = int.from_bytes(data[at : at + wide])
        at += wide
        from_file = version == 0 or data[at + 1] & 15 == 0
        at += 2 * (version > 0) + 2  # The construction method, then an index of data references.
        base = int.from_bytes(data[at : at + base_size])
        pieces = struct.unpack_from(">H", data, at + base_size)[0]
        at += base_size + 2
        begin = base + int.from_bytes(data[at + index_size : at + index_size + offset_size])
        length_at = at + index_size + offset_size
        length = int.from_bytes(data[length_at : length_at + length_size])
        at += pieces * (index_size + offset_size + length_size)
        if from_file and pieces == 1:
            yield item, begin, begin + length
