"""What a picture file is before anything is done to it: its hash, its format, the quality it was saved with."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from facecheck.image import FORMATS, MAX_BYTES
from training.faces.traces import jpeg_quality

LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"})
# Where no real photograph came as JPEG there is no habit to copy; these are common export settings.
FALLBACK_QUALITIES = (75, 80, 85, 90, 95)


@dataclass(frozen=True)
class Original:
    """One file, seen from outside.

    Attributes:
        sha256: of the bytes; empty if the file cannot be read.
        format: as Pillow names it; empty if it is none of the formats that facecheck opens.
        width, height: as stored, pixels.
        quality: of a JPEG, estimated from its quantisation table; None for others.
        is_lossless: it shows no traces of compression yet.
    """

    sha256: str
    format: str = ""
    width: int = 0
    height: int = 0
    quality: int | None = None
    is_lossless: bool = False


def survey(path: Path) -> Original:
    """Read the bytes once for the hash and the header once for the rest; never raises, decodes no pixel."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Original("")
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return Original("")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                return _described(picture, sha256, path)
    except Exception:  # Any decoder, any exception: the file is then dropped as unreadable, with the reason.
        return Original(sha256)


def _described(picture: Image.Image, sha256: str, path: Path) -> Original:
    name = str(picture.format)
    with path.open("rb") as stream:
        is_lossless_webp = name == "WEBP" and b"VP8L" in stream.read(64)
    is_lossless = name not in LOSSY or is_lossless_webp
    return Original(sha256, name, picture.width, picture.height, jpeg_quality(picture), is_lossless)


def quality_for(sha256: str, qualities: Sequence[int]) -> int:
    """The JPEG quality that a lossless original gets: drawn from `qualities`, always the same for the same file."""
    return qualities[int(sha256[:15], 16) % len(qualities)]


def real_qualities(originals: Sequence[tuple[str, Original]]) -> list[int]:
    """Sorted qualities of the JPEG originals among (label, original) that are photographs; the fallback if none is."""
    seen = [original.quality for label, original in originals if label == "real" and original.quality is not None]
    return sorted(seen) or list(FALLBACK_QUALITIES)
