"""A picture's bytes without what they tell about its owner: place, time, camera, thumbnails, comments."""

import io

from PIL import Image

from facecheck import image

ORIENTATION_TAG = 0x0112
START, END_OF_HEAD = 0xD8, 0xDA
# JFIF, ICC profile, Adobe's colour transform: without them the pixels change. All other APPn and comments go.
KEPT_APPS = {0xE0, 0xE2, 0xEE}
APPS_AND_COMMENT = {*range(0xE0, 0xF0), 0xFE}


def without_metadata(data: bytes) -> tuple[bytes, str]:
    """The same pixels without metadata, and the suffix for their file.

    A JPEG keeps its compressed data untouched, because its traces are what a detector reads, and its orientation;
    every other format becomes a PNG of the upright pixels.

    Raises:
        ImageError: the bytes are no picture.
    """
    pixels = image.load(data)
    if data[:2] == b"\xff\xd8":
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
            orientation = opened.getexif().get(ORIENTATION_TAG, 1)
        try:
            return _stripped(data, _orientation_segment(orientation)), ".jpg"
        except (IndexError, ValueError):
            pass  # An odd structure that Pillow reads all the same: keep the pixels.
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), ".png"


def _orientation_segment(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    body = exif.tobytes()
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _stripped(data: bytes, extra: bytes) -> bytes:
    kept, at = [data[:2], extra], 2
    while data[at + 1] != END_OF_HEAD:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or length < 2:
            raise ValueError("not a chain of segments")
        if marker not in APPS_AND_COMMENT or marker in KEPT_APPS:
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    # Phones append films and depth maps behind the picture.
    end = data.rfind(b"\xff\xd9")
    return b"".join([*kept, data[at : end + 2 if end > at else len(data)]])
