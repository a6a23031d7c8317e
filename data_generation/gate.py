"""Which images may be used: one whole face, sharp enough to be one, seen once.

What facecheck's classifier thinks of an image is never asked: a gate that keeps what looks fake (or real) would make
the data agree with the present model.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_generation.attributes import is_minor
from data_generation.plan import Plan
from data_generation.record import Row
from facecheck.detection.detector import FaceDetector
from facecheck.files import write_atomically
from training.evaluation.metrics import table

Pixels = npt.NDArray[np.uint8]
NO_FACE, SEVERAL, UNSURE, SMALL, CUT = "no_face", "several_faces", "unsure_face", "small_face", "cut_face"
BLANK, SATURATED, FLAGGED, DUPLICATE = "blank", "saturated", "safety_flag", "duplicate"
UNCHECKED = "unchecked_minor"
PIECES = 16
JUDGEMENT = "gate.json"
UNPLANNED = "cell"
"""The attribute under which pictures of cells that the plan does not have are counted."""


@dataclass(frozen=True)
class Limits:
    """What an accepted image must have.

    Attributes:
        confidence: of the detector, for the one face. Others below it do not count as faces.
        face_px: longer side of the box, pixels.
        outside: share of the box that may lie outside the picture.
        contrast: standard deviation of the grey levels, below which a picture is blank.
        clipped: share of black or white pixels, above which it is saturated.
        distance: bits of 128 by which two perceptual hashes may differ and still be one picture.
    """

    confidence: float = 0.95
    face_px: float = 40.0
    outside: float = 0.05
    contrast: float = 12.0
    clipped: float = 0.75
    distance: int = 5


@dataclass(frozen=True)
class Measurements:
    """What was measured on one image; see `data_generation.record.Row`."""

    faces: tuple[dict[str, Any], ...]
    phash: str
    contrast: float
    clipped: float


class Gate:
    """Measures images. Make one and keep it: it holds the detector."""

    def __init__(self) -> None:
        self.detector = FaceDetector(first_px=0)  # All faces: one in the background counts too.

    def measure(self, images: Sequence[Pixels]) -> list[Measurements]:
        """Measurements of (H, W, 3) uint8 RGB images."""
        from training.faces.grouping import perceptual_hash

        return [
            Measurements(_faces(found.boxes, found.confidence), perceptual_hash(image).hex(), *_light(image))
            for image, found in zip(images, self.detector.detect(images), strict=True)
        ]


def _faces(boxes: npt.NDArray[np.float32], confidence: npt.NDArray[np.float32]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"box": [round(float(v), 1) for v in box], "confidence": round(float(sure), 4)}
        for box, sure in zip(boxes, confidence, strict=True)
    )


def _light(image: Pixels) -> tuple[float, float]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return round(float(grey.std()), 2), round(float(((grey <= 1) | (grey >= 254)).mean()), 4)


def reasons(
    measured: Measurements | Row,
    size: tuple[int, int],
    flagged: bool | None = None,
    limits: Limits | None = None,
    age: str = "",
    several: bool = False,
) -> tuple[str, ...]:
    """Why an image of `size` (width, height) is rejected, looking at it alone; empty if it is accepted.

    Args:
        flagged, age, several: as in `data_generation.record.Row`. An image of a minor passes only if a safety checker
            saw it.
    """
    limits = limits or Limits()
    sure = [face for face in measured.faces if face["confidence"] >= limits.confidence]
    is_told = len(sure) == 1 or (several and len(sure) > 1)  # Of several the largest counts.
    failed = {
        NO_FACE: not measured.faces,
        UNSURE: bool(measured.faces) and not sure,
        SEVERAL: len(sure) > 1 and not several,
        SMALL: is_told and _side(sure[0]["box"]) < limits.face_px,
        CUT: is_told and _outside(sure[0]["box"], size) > limits.outside,
        BLANK: measured.contrast < limits.contrast,
        SATURATED: measured.clipped > limits.clipped,
        FLAGGED: bool(flagged),
        UNCHECKED: flagged is None and is_minor(age),
    }
    return tuple(reason for reason, is_so in failed.items() if is_so)


def _side(box: Sequence[float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _outside(box: Sequence[float], size: tuple[int, int]) -> float:
    x0, y0, x1, y1 = box
    inside = max(min(x1, size[0]) - max(x0, 0.0), 0.0) * max(min(y1, size[1]) - max(y0, 0.0), 0.0)
    return 1 - inside / max((x1 - x0) * (y1 - y0), 1e-9)


def judge(rows: Iterable[Row], limits: Limits | None = None) -> dict[str, tuple[str, ...]]:
    """Every image's reasons, duplicates among the accepted included; the order of `rows` has no influence.

    Of two duplicates the one whose id comes first stays.
    """
    limits = limits or Limits()
    found = {row.id: reasons(row, row.size, row.flagged, limits, row.age, row.several) for row in rows_by_id(rows)}
    kept = Seen(limits.distance)
    for row in rows_by_id(rows):
        if not found[row.id] and kept.has(row.phash):
            found[row.id] = (DUPLICATE,)
        elif not found[row.id]:
            kept.add(row.phash)
    return found


def rows_by_id(rows: Iterable[Row]) -> list[Row]:
    """An order that does not depend on when or where an image was made."""
    return sorted(rows, key=lambda row: row.id)


class Seen:
    """Hashes, looked up by their pieces: two within `distance` bits agree in one of `distance` + 1 pieces at least.

    (The pigeonhole principle; Manku et al. 2007, "Detecting near-duplicates for web crawling".)
    """

    def __init__(self, distance: int = Limits.distance) -> None:
        if distance >= PIECES:
            raise ValueError(f"duplicates are looked for within {PIECES - 1} bits at most, not {distance}")
        self.distance = distance
        self.by_piece: dict[tuple[int, int], list[int]] = {}

    def has(self, phash: str) -> bool:
        """Whether a hash like it was added."""
        value = int(phash, 16)
        near = (other for key in self._keys(value) for other in self.by_piece.get(key, ()))
        return any((value ^ other).bit_count() <= self.distance for other in near)

    def add(self, phash: str) -> None:
        """Remember a hash, hexadecimal."""
        value = int(phash, 16)
        for key in self._keys(value):
            self.by_piece.setdefault(key, []).append(value)

    @staticmethod
    def _keys(value: int) -> list[tuple[int, int]]:
        return [(piece, value >> 8 * piece & 0xFF) for piece in range(PIECES)]


def counts(judged: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How many images were accepted, and how many had each reason."""
    every = Counter(reason for found in judged.values() for reason in found)
    return {"accepted": sum(not found for found in judged.values()), **dict(every.most_common())}


def write_judgement(folder: Path, judged: Mapping[str, tuple[str, ...]], limits: Limits) -> Path:
    """Write gate.json beside the record: the limits, the counts, and every rejected image with its reasons."""
    content = {
        "limits": asdict(limits),
        "counts": counts(judged),
        "rejected": {id: list(found) for id, found in sorted(judged.items()) if found},
    }
    write_atomically(folder / JUDGEMENT, (json.dumps(content, indent=1) + "\n").encode())
    return folder / JUDGEMENT


def read_judgement(folder: Path, rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """The reasons of every image by the limits of gate.json, or by the usual ones where there is none."""
    path = folder / JUDGEMENT
    limits = Limits(**json.loads(path.read_text(encoding="utf-8"))["limits"]) if path.is_file() else Limits()
    return judge(rows, limits)


@dataclass(frozen=True)
class Coverage:
    """One attribute value: pictures planned, and pictures that came out."""

    attribute: str
    value: str
    planned: int
    achieved: int


def coverage(plan: Plan, accepted_cell_ids: Iterable[str]) -> list[Coverage]:
    """One row for each value that is planned or has come out, in the order of the plan.

    Args:
        plan: what was asked for.
        accepted_cell_ids: the cell of every accepted picture, so an id comes once for each picture. Pictures of cells
            that the plan does not have (any more) are counted in a last row of their own.
    """
    known = {cell.id: cell.attributes for cell in plan.cells}
    pictures = Counter(accepted_cell_ids)
    achieved: Counter[tuple[str, str]] = Counter()
    for cell, count in pictures.items():
        for pair in known.get(cell, {}).items():
            achieved[pair] += count
    planned = plan.planned()
    rows = [Coverage(*pair, planned[pair], achieved[pair]) for pair in planned if planned[pair] or achieved[pair]]
    strangers = sum(count for cell, count in pictures.items() if cell not in known)
    return rows + ([Coverage(UNPLANNED, "not in the plan", 0, strangers)] if strangers else [])


def markdown(rows: Sequence[Coverage]) -> str:
    """A table with the share of what was planned."""

    def share(row: Coverage) -> str:
        return f"{row.achieved / row.planned:.0%}" if row.planned else ""

    lines = ((row.attribute, row.value, row.planned, row.achieved, share(row)) for row in rows)
    return table(("attribute", "value", "planned", "achieved", "share"), lines)
