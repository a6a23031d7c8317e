"""WebP, GIF, and what is made of boxes: AVIF, HEIF (ISO base media files), JPEG 2000, JPEG XL."""

import struct
from collections.abc import Iterator

from facecheck.provenance.containers import EXIF_START, LARGEST_BLOCK, Contents, Kind, decoded
from facecheck.provenance.exif_xmp import TIFF_STARTS
from facecheck.values import JXL_CODESTREAM

GIF_STARTS = (b"GIF87a", b"GIF89a")
GIF_XMP_TRAILER = 257
JPEG2000_START = b"\x00\x00\x00\x0cjP  "
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
MOST_ITEMS = 1000
Box = tuple[bytes, int, int]
"""Type, and where its content begins and ends."""


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
    size = len(data)
    while at < size and (length := data[at]):
        at += length + 1
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
    while at < end and (length := data[at]):
        parts.append(data[at + 1 : min(at + 1 + length, end)])
        at += length + 1
    return b"".join(parts)


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
        contents.note("The file lists {count} items; only {most} were looked at.", count=count, most=MOST_ITEMS)
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
