"""A ledger in numbers and pictures: counts, a histogram, the files that most likely were generated."""

import base64
import heapq
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from facecheck import crop, image
from facecheck.errors import ImageError
from facecheck.files import printable, write_atomically
from facecheck.scan.rows import CLIP, Row

BINS = 20
SUSPECTS = 40
PAGE, VALUES, SHEET = SUMMARY_FILES = ("summary.html", "summary.json", "contact-sheet.jpg")
UNREADABLE = "unreadable"
SHOWN_ERRORS = 100
THUMBNAIL_PX, SHEET_COLUMNS, JPEG_QUALITY, MARGIN = 160, 8, 80, 1.3


@dataclass(frozen=True, order=True)
class Suspect:
    """A file that was called fake or stands near it; ordered by score."""

    p_fake: float
    path: str
    verdict: str = field(compare=False)
    faces: int = field(compare=False)
    box: tuple[float, ...] = field(compare=False)
    at_s: float | None = field(compare=False)


@dataclass
class Summary:
    """What is kept of all rows, whatever their number.

    Attributes:
        histogram: pictures by p_fake, 20 equal bins over [0, 1].
        verdicts: by verdict, with "unreadable" for files with an error.
    """

    files: int = 0
    faces: int = 0
    clips: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    errors: list[tuple[str, str]] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)
    suspects: list[Suspect] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """One more file."""
        self.files += 1
        self.faces += len(row["faces"])
        self.clips += row["kind"] == CLIP
        self.verdicts[row["verdict"] or UNREADABLE] += 1
        self.reasons.update(row["reasons"])
        self.models[f"{row['model']['name']} {row['model']['version']}"] += 1
        if row["error"] is not None and len(self.errors) < SHOWN_ERRORS:
            self.errors.append((row["path"], row["error"]))
        if row["p_fake"] is not None:
            self.histogram[min(int(row["p_fake"] * BINS), BINS - 1)] += 1
            self._suspect(row)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; paths as they are."""
        numbers: dict[str, Any] = {"files": self.files, "clips": self.clips, "faces": self.faces}
        counts = {"verdicts": dict(self.verdicts), "reasons": dict(self.reasons), "models": dict(self.models)}
        worst = [{"path": s.path, "p_fake": s.p_fake, "verdict": s.verdict} for s in self.most_suspicious()]
        return numbers | counts | {"histogram": self.histogram, "most_suspicious": worst}

    def most_suspicious(self) -> list[Suspect]:
        """At most 40, the highest score first."""
        return sorted(self.suspects, reverse=True)

    def _suspect(self, row: Row) -> None:
        # The faces that decide the verdict give the score; several may share it.
        number, face = min(enumerate(row["faces"]), key=lambda one: abs(one[1]["p_fake"] - row["p_fake"]))
        at_s = row["clip"]["tracks"][number]["at_s"] if row["clip"] else None
        box = tuple(face["box"])
        suspect = Suspect(row["p_fake"], row["path"], row["verdict"], len(row["faces"]), box, at_s)
        if len(self.suspects) < SUSPECTS:
            heapq.heappush(self.suspects, suspect)
        else:
            heapq.heappushpop(self.suspects, suspect)


def summarise(rows: Iterable[Row]) -> Summary:
    """Read rows once; memory does not grow with their number."""
    summary = Summary()
    for row in rows:
        summary.add(row)
    return summary


def write_summary(summary: Summary, folder: Path) -> None:
    """`SUMMARY_FILES`, each atomically; the page is complete in itself."""
    from facecheck.scan.page import page

    folder.mkdir(parents=True, exist_ok=True)
    suspects = summary.most_suspicious()
    thumbnails = [thumbnail(suspect) for suspect in suspects]
    write_atomically(folder / SHEET, _jpeg(contact_sheet(suspects, thumbnails)))
    write_atomically(folder / VALUES, (json.dumps(summary.to_dict(), indent=2) + "\n").encode())
    links = [_link(picture) for picture in thumbnails]
    write_atomically(folder / PAGE, page(summary, links).encode("utf-8", "backslashreplace"))


def thumbnail(suspect: Suspect) -> Image.Image | None:
    """The face that gave the score; None if the file is gone or was changed beyond recognition."""
    try:
        if suspect.at_s is None:
            pixels = image.load(Path(suspect.path))
        else:
            from facecheck.video.judging import frame_at

            pixels = frame_at(suspect.path, suspect.at_s)
    except ImageError:
        return None
    return Image.fromarray(crop.face(pixels, suspect.box, THUMBNAIL_PX, MARGIN))


def contact_sheet(suspects: list[Suspect], thumbnails: list[Image.Image | None]) -> Image.Image:
    """Thumbnails in rows of eight, the most suspicious first, each with its score."""
    rows = max(-(-len(suspects) // SHEET_COLUMNS), 1)
    cell = THUMBNAIL_PX + 20
    sheet = Image.new("RGB", (SHEET_COLUMNS * THUMBNAIL_PX, rows * cell), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (suspect, picture) in enumerate(zip(suspects, thumbnails, strict=True)):
        x, y = number % SHEET_COLUMNS * THUMBNAIL_PX, number // SHEET_COLUMNS * cell
        if picture is not None:
            sheet.paste(picture, (x, y))
        name = printable(Path(suspect.path).name).encode("ascii", "replace").decode()
        pen.text((x + 4, y + THUMBNAIL_PX + 4), f"{suspect.p_fake:.2f} {name[:18]}", fill="black")
    return sheet


def _link(picture: Image.Image | None) -> str | None:
    return None if picture is None else f"data:image/jpeg;base64,{base64.b64encode(_jpeg(picture)).decode()}"


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
