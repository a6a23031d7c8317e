"""ISO base media files (AVIF, HEIF), JPEG 2000 and JPEG XL: boxes within boxes."""

import struct
from collections.abc import Iterator

from facecheck.provenance.containers import Contents, Kind
from facecheck.provenance.tiff import TIFF_STARTS
from facecheck.sanitising import JXL_CODESTREAM

JPEG2000_START = b"\x00\x00\x00\x0cjP  "
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
MOST_ITEMS = 1000

Box = tuple[bytes, int, int]
"""Type, and where its content begins and ends."""


def read_bmff(contents: Contents) -> None:
    """ISO/IEC 14496-12: credentials and XMP in `uuid` boxes; EXIF and XMP as items of the first `meta` box."""
    data, has_items = contents.data, False
    if data.startswith(JXL_CODESTREAM):
        return  # A JPEG XL without boxes has no place for metadata.
    for name, start, end in _boxes(contents, 0, len(data)):
        if name == b"uuid" and data.startswith(C2PA_UUID, start, end):
            contents.add_credentials(end - start)
        elif name == b"uuid" and data.startswith(XMP_UUID, start, end):
            contents.add(Kind.XMP, start + 16, end)
        elif contents.format == "JXL":
            _add_jxl_box(contents, name, start, end)
        elif name == b"meta" and has_items:
            contents.note("The file has several tables of items; only the first was read.")
        elif name == b"meta":
            has_items = True
            try:
                _add_items(contents, start + 4, end)
            except (struct.error, IndexError, ValueError):
                contents.truncated("table of items")


def _add_jxl_box(contents: Contents, name: bytes, start: int, end: int) -> None:
    """ISO/IEC 18181-2: boxes of their own for EXIF, XMP and credentials, of which the first two may be compressed."""
    data = contents.data
    if name == b"Exif":
        # Some writers leave out the offset of the TIFF header.
        skip = 0 if data.startswith(TIFF_STARTS, start) else 4 + int.from_bytes(data[start : start + 4])
        contents.add(Kind.EXIF, min(start + skip, end), end)
    elif name == b"xml ":
        contents.add(Kind.XMP, start, end)
    elif name == b"jumb":
        contents.add_credentials(end - start)
    elif name == b"brob" and data[start : start + 4] in (b"Exif", b"xml "):
        contents.note("The file has metadata that are compressed with Brotli; they were not read.")


def _boxes(contents: Contents, at: int, stop: int) -> Iterator[Box]:
    while at != stop:
        if not contents.next_part():
            return
        if at + 8 > stop:
            return contents.truncated("boxes")
        size, name = struct.unpack_from(">I4s", contents.data, at)
        start = at + 8
        if size == 1 and start + 8 <= stop:
            size, start = struct.unpack_from(">Q", contents.data, start)[0], start + 8
        end = stop if size == 0 else at + size
        if not start <= end <= stop:
            return contents.truncated("boxes")
        yield name, start, end
        at = end


def _add_items(contents: Contents, start: int, end: int) -> None:
    """Items of type Exif, or mime with XMP, which the `iinf` box names and the `iloc` box places."""
    data = contents.data
    inside = {name: (begin, stop) for name, begin, stop in _boxes(contents, start, end)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    kinds = _item_kinds(contents, *inside[b"iinf"])
    for item, begin, stop in _item_places(contents, inside[b"iloc"][0]):
        if item in kinds and 0 <= begin < stop <= len(data):
            kind = kinds.pop(item)
            # An Exif item begins with the offset of its TIFF header, counted from behind that number.
            skip = 4 + int.from_bytes(data[begin : begin + 4]) if kind == Kind.EXIF else 0
            contents.add(kind, min(begin + skip, stop), stop)


def _item_kinds(contents: Contents, start: int, end: int) -> dict[int, Kind]:
    data, kinds = contents.data, {}
    entries = start + (8 if data[start] else 6)
    for name, begin, stop in _boxes(contents, entries, end):
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


def _item_places(contents: Contents, at: int) -> Iterator[tuple[int, int, int]]:
    """Item, begin and end, of items in one piece whose offsets count from the start of the file."""
    data = contents.data
    version, sizes, more = data[at], data[at + 4], data[at + 5]
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, (more & 15) * (version > 0)
    count = int.from_bytes(data[at + 6 : at + (10 if version > 1 else 8)])
    at += 10 if version > 1 else 8
    if count > MOST_ITEMS:
        contents.note(f"The file lists {count} items; only {MOST_ITEMS} were looked at.")
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
