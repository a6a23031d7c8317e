"""What a picture file is before anything is done to it: its hash, its format, the quality it was saved with.

And the account of `training prepare`, for people: what was kept, what was dropped, and why.
"""

import csv
import io
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from facecheck.decoding import FORMATS
from facecheck.files import sha256_of, write_atomically
from facecheck.image import MAX_BYTES
from training.data import NO_WORLD, SPLITS, WORLD
from training.evaluation.metrics import table
from training.faces.layouts import Photo
from training.faces.leakage import jpeg_quality

LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"})
# Where no real photograph came as JPEG there is no habit to copy; these are common export settings.
FALLBACK_QUALITIES = (75, 80, 85, 90, 95)
# Before its pixels a WebP file has a handful of chunks; a crafted one has no end of them.
WEBP_CHUNKS = 64


CONFLICT = "conflicting_label"
REASONS = {
    "unreadable": "missing, corrupted, or not a picture",
    "no_face": "the detector found no face",
    "face_too_small": "every face is shorter than the minimum",
    "duplicate": "the same bytes as another file of the same class; one was kept",
    CONFLICT: "the same bytes are called real in one place and fake in another; all were dropped",
    "set_aside": "it shares a group with a source that stands in the split world",
    "not_accepted": "the data set's own gate refused it",
}


@dataclass(frozen=True)
class Dropped:
    """A file that is not in the manifest, and why: one of `REASONS`, and what exactly."""

    path: Path
    reason: str
    detail: str = ""


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


@dataclass(frozen=True)
class Surveyed:
    """A photo and what its file is.

    Attributes:
        groups: of the photo and of all its exact copies, as the data sets give them.
    """

    photo: Photo
    original: Original
    groups: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Of the ledger: the same bytes under the same name are cut once."""
        return f"{self.photo.label}/{self.photo.source}/{self.original.sha256}"


def survey(path: Path) -> Original:
    """Read the bytes once for the hash and the header once for the rest; never raises, decodes no pixel."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Original("")
        sha256 = sha256_of(path)
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
        is_lossless = name not in LOSSY or (name == "WEBP" and _is_lossless_webp(stream))
    return Original(sha256, name, picture.width, picture.height, jpeg_quality(picture), is_lossless)


def _is_lossless_webp(stream: BinaryIO) -> bool:
    """Whether the first picture of a WebP file is a VP8L chunk (RFC 9649); profiles and settings come before it."""
    stream.seek(12)
    for _ in range(WEBP_CHUNKS):
        header = stream.read(8)
        kind, size = header[:4], int.from_bytes(header[4:], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        if len(header) < 8:
            return False
        # A frame of an animation is 16 bytes of settings, and then chunks of its own.
        stream.seek(16 if kind == b"ANMF" else size + size % 2, 1)
    return False


def quality_for(sha256: str, qualities: Sequence[int]) -> int:
    """The JPEG quality that a lossless original gets: drawn from `qualities`, always the same for the same file."""
    return qualities[int(sha256[:15], 16) % len(qualities)]


def real_qualities(originals: Sequence[tuple[str, Original]]) -> list[int]:
    """Sorted qualities of the JPEG originals among (label, original) that are photographs; the fallback if none is."""
    seen = [original.quality for label, original in originals if label == "real" and original.quality is not None]
    return sorted(seen) or list(FALLBACK_QUALITIES)


def kept_qualities(originals: Sequence[tuple[str, Original]], file: Path) -> list[int]:
    """`real_qualities`, fixed in `file` as soon as there is a real JPEG, so that a run that goes on draws the same."""
    fallback = list(FALLBACK_QUALITIES)
    stored: list[int] = json.loads(file.read_text()) if file.is_file() else fallback
    # Earlier versions stored the fallback too.
    if stored != fallback:
        return stored
    drawn_from = real_qualities(originals)
    if drawn_from != fallback:
        write_atomically(file, json.dumps(drawn_from).encode())
    return drawn_from


def without_copies(surveyed: Sequence[Surveyed], dropped: list[Dropped]) -> list[Surveyed]:
    """One of each picture; of a picture that is called real in one place and fake in another, none."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for item in surveyed:
        labels[item.original.sha256].add(item.photo.label)
        if item.photo.group:
            groups[item.original.sha256].add(item.photo.group)
    first: dict[str, Surveyed] = {}
    for item in surveyed:
        sha256 = item.original.sha256
        if not sha256:
            dropped.append(Dropped(item.photo.path, "unreadable", "missing, too large, or no permission"))
        elif len(labels[sha256]) > 1:
            dropped.append(Dropped(item.photo.path, CONFLICT, f"called {item.photo.label} here"))
        elif sha256 in first:
            dropped.append(Dropped(item.photo.path, "duplicate", str(first[sha256].photo.path)))
        else:
            first[sha256] = replace(item, groups=tuple(sorted(groups[sha256])))
    return list(first.values())


def prepare_markdown(
    layouts: Sequence[str], rows: Sequence[dict[str, Any]], dropped: Sequence[Dropped], moved_groups: int
) -> str:
    """Counts kept for each source and split, counts dropped for each reason, and what needs attention."""
    counts = Counter((row["label"], row["source"], row["split"]) for row in rows)
    kept = []
    for label, source in sorted({(row["label"], row["source"]) for row in rows}):
        groups = {row["group"] for row in rows if (row["label"], row["source"]) == (label, source)}
        kept.append((label, source, *(counts[label, source, split] for split in SPLITS), len(groups)))
    reasons = Counter(item.reason for item in dropped).most_common()
    lines = [
        f"# {len(rows)} faces kept, {len(dropped)} files dropped", "", f"Found: {'; '.join(layouts)}.", "",
        table(["label", "source", *SPLITS, "groups"], kept), "",
        table(["dropped because", "files", ""], [(reason, count, REASONS[reason]) for reason, count in reasons]), "",
        "Each dropped file, with details: `dropped.csv`.", "",
    ]  # fmt: skip
    return "\n".join([*lines, *_attention(rows, dropped, moved_groups)])


def _attention(rows: Sequence[dict[str, Any]], dropped: Sequence[Dropped], moved_groups: int) -> list[str]:
    notes = []
    if conflicts := [item for item in dropped if item.reason == CONFLICT]:
        notes.append(
            f"- **ERROR: {len(conflicts)} files have a copy with the other label**, such as {str(conflicts[0].path)!a}."
        )
    if moved_groups:
        notes.append(f"- {moved_groups} groups stood on two sides of the given split and were moved to one.")
    for label in ("real", "fake"):
        if not any(row["label"] == label for row in rows):
            notes.append(f"- There is no {label} face: add photos before you train.")
    if not any(row["split"] == WORLD for row in rows):
        notes.append(f"- {NO_WORLD}")
    return [*notes, ""] if notes else []


def dropped_csv(dropped: Sequence[Dropped]) -> bytes:
    """The table of dropped files: file, reason, detail."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(("file", "reason", "detail"))
    writer.writerows((item.path, item.reason, item.detail) for item in dropped)
    # The names of files need not be valid text.
    return stream.getvalue().encode(errors="backslashreplace")
