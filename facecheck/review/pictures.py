"""What the desk shows of the files of a scan: thumbnails, whole pictures and heat maps, as JPEG of our own making.

A browser never gets the bytes of a file to show: what our decoder refuses is not shown.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from facecheck import crop, image
from facecheck.decoding import Pixels
from facecheck.errors import ImageError
from facecheck.review.filters import deciding_face
from facecheck.scan.rows import CLIP, Candidate, Row

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

THUMBNAIL_PX, PICTURE_PX, FACE_MARGIN, JPEG_QUALITY = 240, 1600, 2.0, 85
AT_ONCE, KEPT_THUMBNAILS = 2, 4000
"""Pictures that are decoded at the same time: each may take gigabytes; thumbnails are about 10 kB."""


class Pictures:
    """Safe to use from several threads.

    Args:
        make_checker: called once, for the first heat map.
    """

    def __init__(self, make_checker: "Callable[[], FaceChecker]") -> None:
        self._make_checker = make_checker
        self._checker: FaceChecker | None = None
        self._making, self._decoding = threading.Lock(), threading.Semaphore(AT_ONCE)
        self._thumbnails: OrderedDict[tuple[str, int | None, bool], bytes] = OrderedDict()

    def thumbnail(self, row: Row, *, whole: bool = False) -> bytes:
        """The face that decides, with what is around it, or all of the picture.

        Raises:
            ImageError: the file is gone, has changed, or cannot be read.
        """
        key = row["path"], row["mtime_ns"], whole
        if key not in self._thumbnails:
            with self._decoding:
                self._thumbnails[key] = jpeg(thumbnail(row, THUMBNAIL_PX, FACE_MARGIN, whole=whole))
            while len(self._thumbnails) > KEPT_THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return self._thumbnails[key]

    def picture(self, row: Row) -> bytes:
        """All of it, upright, at most `PICTURE_PX` a side."""
        with self._decoding:
            shown = Image.fromarray(pixels_of(row))
            shown.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
            return jpeg(shown)

    def heat_map(self, row: Row) -> bytes:
        """Where the model looks in the face that decides.

        Raises:
            ImageError: as above, or no face is found in the picture any more.
            ModelError, DeviceError: the model cannot be loaded.
        """
        from facecheck.explain.explanation import explain

        wanted = deciding_face(row)
        with self._making:
            self._checker = self._checker or self._make_checker()
        with self._decoding:
            found = explain(pixels_of(row), checker=self._checker).faces
        if wanted is None or not found:
            raise ImageError(f"{row['path']}: no face is found in it")
        nearest = min(found, key=lambda one: sum(abs(a - b) for a, b in zip(one.face.box, wanted["box"], strict=True)))
        return jpeg(Image.fromarray(nearest.heat_maps[0].on(nearest.pixels)))


def pixels_of(row: Row) -> Pixels:
    """(H, W, 3) uint8 RGB: the picture, or of a clip the frame with the face that decides.

    Raises:
        ImageError: the file is gone, has changed since it was scanned, or cannot be read.
    """
    _require_unchanged(row)
    if row["kind"] != CLIP:
        return image.load(Path(row["path"]))
    from facecheck.video.judging import frame_at

    face = deciding_face(row)
    number = 0 if face is None else row["faces"].index(face)
    tracks = row["clip"]["tracks"]
    return frame_at(row["path"], tracks[number]["at_s"] if tracks else 0.0)


def original(row: Row) -> bytes:
    """The bytes of the file.

    Raises:
        ImageError: it is gone, has changed, or is too large to be held in memory.
    """
    _require_unchanged(row)
    if row["size"] is None or row["size"] > image.MAX_BYTES:
        raise ImageError(f"{row['path']}: too large to be sent; open it where it lies")
    return Path(row["path"]).read_bytes()


def _require_unchanged(row: Row) -> None:
    now = Candidate.at(row["path"])
    if (now.size, now.mtime_ns) != (row["size"], row["mtime_ns"]):
        changed = "is gone" if now.size is None else "has changed since it was scanned; scan again"
        raise ImageError(f"{row['path']}: {changed}")


def thumbnail(row: Row, side: int, margin: float, *, whole: bool = False) -> Image.Image:
    """(side, side): the face that decides; without a face, or with `whole`, the picture on grey.

    Raises:
        ImageError: see `pixels_of`.
    """
    pixels, face = pixels_of(row), deciding_face(row)
    if face is not None and not whole:
        return Image.fromarray(crop.face(pixels, face["box"], side, margin))
    picture, square = Image.fromarray(pixels), Image.new("RGB", (side, side), (128, 128, 128))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def jpeg(picture: Image.Image) -> bytes:
    """The bytes of a file without metadata."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
