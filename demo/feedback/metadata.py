"""A picture's bytes without what they tell about its owner: place, time, camera, thumbnails, comments."""

import io
from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

from facecheck import image
from facecheck.provenance.containers import MARKER

ORIENTATION_TAG = 0x0112
JFIF, EXIF, ICC_PROFILE, ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
SCAN, END = 0xDA, b"\xff\xd9"
# Frames, tables, scans and restarts.
CODING = {*range(0xC0, 0xD0), *range(0xDA, 0xE0)}


def without_metadata(data: bytes) -> tuple[bytes, str]:
    """The same pixels without metadata, and the suffix for their file.

    A JPEG keeps its compressed data untouched, because its traces are what a detector reads, and its orientation;
    every other format becomes a PNG of the upright pixels.

    Raises:
        ImageError: the bytes are no picture.
    """
    pixels = image.load(data)
    if data[:2] == b"\xff\xd8":
        try:
            return _stripped(data), ".jpg"
        except (IndexError, ValueError):
            pass  # An odd structure that Pillow reads all the same: keep the pixels.
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), ".png"


def _stripped(data: bytes) -> bytes:
    parts = [data[:2]]
    # What no orientation is could be anything, also a text.
    if (orientation := _orientation(data)) in range(2, 9):
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        parts.append(_segment(EXIF, exif.tobytes()))
    for marker, body, coded in _segments(data):
        kept = _kept(marker, body)
        parts += [coded] if kept is None else [_segment(marker, kept), coded]
    return b"".join([*parts, END])


def _orientation(data: bytes) -> int:
    with suppress(Exception), Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
        return int(opened.getexif().get(ORIENTATION_TAG, 1))
    return 1


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Marker and body of each segment, and the coded pixels after it, up to the end of the picture.

    Phones append films, depth maps and whole other pictures behind that.

    Raises:
        IndexError, ValueError: not a chain of segments with an end.
    """
    at = 2
    while data[at : at + 2] != END:
        if data[at : at + 2] == b"\xff\xff":  # Filling.
            at += 1
            continue
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        following = MARKER.search(data, end) if marker == SCAN else None
        if data[at] != 0xFF or not at + 4 <= end <= len(data) or (marker == SCAN and following is None):
            raise ValueError("not a chain of segments")
        after = following.start() if following else end
        yield marker, data[at + 4 : end], data[end:after]
        at = after


def _kept(marker: int, body: bytes) -> bytes | None:
    """What stays of a segment's body: all that the pixels and their colours depend on; None if nothing does."""
    if marker in CODING or (marker == ICC_PROFILE and body.startswith(b"ICC_PROFILE\0")):
        return body
    if marker == JFIF and body.startswith(b"JFIF\0"):
        return body[:12] + bytes(2)  # A thumbnail of 0 x 0 pixels.
    if marker == ADOBE and body.startswith(b"Adobe"):
        return body[:12]
    return None


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body
