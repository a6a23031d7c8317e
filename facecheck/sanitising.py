"""What of a file a decoder gets to see: what makes pixels, and nothing that costs or waits without end.

Pillow reads headers in Python, byte by byte, or adds each part to what it has. Measured with Pillow 12.3: a GIF of 4 MB
whose comment lies in blocks of one byte takes 39 s, a TIFF of 1 MB whose entries all name the same bytes 7.5 s. Here
every byte is looked at once. What is left out changes no pixel.
"""

import errno
import os
import re
import stat
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BufferedReader
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_SEGMENTS, MAX_SCANS = 20_000, 50
"""Of a JPEG. Each scan of a progressive one passes over all its blocks; encoders make about ten."""
MAX_CHUNKS, MAX_BLOCKS = 100_000, 1_100_000
"""Of a PNG, and the smallest parts of a GIF: as many as 256 MiB have in blocks of 255 bytes."""
MAX_DIRECTORIES, MAX_ENTRIES, TIMES_READ = 1000, 200_000, 4
"""TIFF directories in a file (EXIF is one), their entries, and how often the bytes may be named by them."""
MAX_STRIPS, _STRIPS = 70_000, (273, 324)
"""Of a TIFF, or its tiles, and the tags that name them: Pillow makes an object of each. A row of pixels may be one."""
QUOTED = 200
"""Characters of an input that a message repeats."""
ROWS_MISSING = 32
"""Of a JPEG without its end: the decoder keeps back the last two rows of blocks until it sees the end."""
_MARKER = re.compile(rb"\xff[^\0\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_SCAN, _END = 0xDA, 0xD9
_SCAN_MARKER = re.compile(rb"\xff\xda")
_GIF_PART = re.compile(rb"[!,;]")
_TIFF_HEADERS = (b"II*\0", b"MM\0*")
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")
ORIENTATION_TAG, _SHORT = 0x0112, 3


def sanitised(data: bytes) -> bytes:
    """A picture's file for a decoder; the same bytes where there is nothing to leave out.

    Raises:
        ValueError: its structure would cost more than any picture is worth; the message says what is wrong.
    """
    _refuse_repeated_reads(data)
    for begins, clean in _CLEANERS.items():
        if data.startswith(begins):
            return clean(data)
    return data


class _Silence:
    """Warnings are off while any thread is inside; nobody waits for another."""

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filters.enter_context(warnings.catch_warnings(action="ignore"))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.close()


no_warnings = _Silence()
"""For opening pictures: Pillow's warnings come too early or too late."""


def orientation(picture: "Image.Image") -> int:
    """The EXIF orientation of an open picture, from EXIF or else XMP; 1, upright, where there is none.

    Pillow's own reader copies whatever any entry names, however often, and turns a TIFF itself.
    """
    if picture.format in ("TIFF", "JXL"):  # Its codestream says it, and the decoder obeys that.
        return 1
    known = picture.info
    exif = known.get("exif") or _raw_profile(known.get("Raw profile type exif", ""))
    found = _exif_orientation(exif) if isinstance(exif, bytes) else 1
    if found == 1 and (xmp := known.get("xmp") or known.get("XML:com.adobe.xmp")):
        match = _XMP_ORIENTATION.search(xmp.encode() if isinstance(xmp, str) else xmp)
        return int(match[1]) if match else 1
    return found


def _raw_profile(text: str) -> bytes:
    """EXIF as ImageMagick writes it into a PNG: name and length, then hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def _exif_orientation(exif: bytes) -> int:
    """Tag 0x0112 in the first directory of an EXIF block; 1, upright, where there is none."""
    begin = len(b"Exif\0\0") if exif.startswith(b"Exif\0\0") else 0
    if not exif.startswith(_TIFF_HEADERS, begin):
        return 1
    order = _byte_order(exif, begin)
    for tag, kind, count, at in _entries(exif, begin):
        if (tag, kind, count) == (ORIENTATION_TAG, _SHORT, 1):
            return int.from_bytes(exif[at : at + 2], order)
    return 1


def completed(picture: "ImageFile.ImageFile", data: bytes) -> bytes | None:
    """A JPEG that lacks its end, with one, as browsers read it; None if more than its end is missing.

    Args:
        picture: opened from `data`; loading it failed, and it has the rows that were decoded.
    """
    if picture.format not in ("JPEG", "MPO"):
        return None
    picture.tile = []  # Decoded as far as it goes: what follows only looks at that.
    box = picture.convert("L").getbbox()
    missing = picture.height - (box[3] if box else 0)
    is_nearly_whole = missing <= min(ROWS_MISSING, picture.height // 2)
    if picture.info.get("progressive") and box is None:
        # Nothing is decoded before the last scan; that one refines all coefficients to their last bit.
        *_, last = (found.start() for found in _SCAN_MARKER.finditer(data))
        end = last + 2 + int.from_bytes(data[last + 2 : last + 4])
        is_nearly_whole = data[end - 2 : end - 1] == b"\x3f" and data[end - 1] & 15 == 0
    return data + b"\xff\xd9" if is_nearly_whole else None


def shortened(text: str) -> str:
    """What a message may quote of its input: the beginning of what is long."""
    return text if len(text) <= QUOTED else f"{text[: QUOTED // 2]}... ({len(text)} characters)"


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """A file to read, and nothing else: who opens a pipe waits for ever, and a file may be replaced by one at any time.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    stream = open(path, "rb", opener=_opened_at_once)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return stream


def _opened_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _jpeg(data: bytes) -> bytes:
    """Without fill bytes and junk between the segments in front of the pixels."""
    kept, at, scans = [data[:2]], 2, 0
    for _ in range(MAX_SEGMENTS):
        found = (_MARKER_IN_SCAN if scans else _MARKER).search(data, at)
        code = _END if found is None else data[found.start() + 1]
        if found is None or code == _END:
            return _joined(kept, data) if scans else b"".join(kept)
        start, at = found.start(), found.end()
        if code not in _WITHOUT_LENGTH:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
        if code == _SCAN and not scans:
            kept.append(data[start:])
        elif not scans:
            kept.append(data[start:at])
        scans += code == _SCAN
        if scans > MAX_SCANS:
            raise ValueError(f"more than {MAX_SCANS} scans")
    raise ValueError(f"more than {MAX_SEGMENTS} segments")


def _png(data: bytes) -> bytes:
    """Without those chunks that no pixel depends on and whose checksum is wrong, and with one colour profile."""
    kept, at, has_profile = [data[:8]], 8, False
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return _joined([*kept, data[at:]], data)
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        is_ancillary = bool(kind[0] & 0x20)
        is_damaged = is_ancillary and zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big")
        if not is_damaged and not (kind == b"iCCP" and has_profile):
            kept.append(data[at:end])
        has_profile |= kind == b"iCCP"
        at = end
    raise ValueError(f"more than {MAX_CHUNKS} chunks")


def _gif(data: bytes) -> bytes:
    """Without comments."""
    at = 13 + _palette_bytes(data[10]) if len(data) > 13 else len(data)
    kept, left = [data[:at]], MAX_BLOCKS
    while (found := _GIF_PART.search(data, at)) and data[found.start()] != ord(";"):
        start, at = found.start(), found.start() + 2
        if data[start] == ord(","):
            at = start + 11 + (_palette_bytes(data[start + 9]) if start + 9 < len(data) else 0)
        while at < len(data) and data[at]:
            at, left = at + data[at] + 1, left - 1
            if not left:
                raise ValueError(f"more than {MAX_BLOCKS} blocks")
        at += 1
        if data[start : start + 2] != b"!\xfe":
            kept.append(data[start:at])
    return _joined([*kept, data[found.start() :] if found else b""], data)


def _palette_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _plain_pnm(data: bytes) -> bytes:
    """Without comments."""
    return re.sub(rb"#[^\r\n]*", b" ", data)


_CLEANERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xff\xd8": _jpeg, b"\x89PNG\r\n\x1a\n": _png, b"GIF8": _gif, b"P1": _plain_pnm, b"P2": _plain_pnm,
    b"P3": _plain_pnm,
}  # fmt: skip


def _joined(kept: list[bytes], data: bytes) -> bytes:
    return data if sum(map(len, kept)) == len(data) else b"".join(kept)


def _refuse_repeated_reads(data: bytes) -> None:
    """Decoders copy what an entry names; entries that name the same bytes cost their number times the file."""
    entries = named = 0
    for directories, begin in enumerate(_tiff_headers(data), 1):
        for tag, kind, count, at in _entries(data, begin):
            if tag in _STRIPS and count > MAX_STRIPS:
                raise ValueError(f"more than {MAX_STRIPS} strips")
            entries += 1
            named += min(count * _TIFF_BYTES.get(kind, 0), max(len(data) - at, 0))
            if entries > MAX_ENTRIES or directories > MAX_DIRECTORIES or named > TIMES_READ * len(data):
                raise ValueError("its directories name the same bytes again and again")


def _tiff_headers(data: bytes) -> Iterator[int]:
    """Where they stand; a pattern would take ten times as long to find that there are none."""
    for header in _TIFF_HEADERS:
        at = data.find(header)
        while at >= 0:
            yield at
            at = data.find(header, at + 1)


def _byte_order(data: bytes, begin: int) -> Literal["little", "big"]:
    return "little" if data[begin : begin + 1] == b"I" else "big"


def _entries(data: bytes, begin: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count and place of the value of each entry in the first directory behind a TIFF header."""
    order = _byte_order(data, begin)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    directory = begin + number(begin + 4, 4)
    for at in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if at + 12 > len(data):
            return
        kind, count = number(at + 2, 2), number(at + 4, 4)
        is_inline = count * _TIFF_BYTES.get(kind, 0) <= 4
        yield number(at, 2), kind, count, at + 8 if is_inline else begin + number(at + 8, 4)
