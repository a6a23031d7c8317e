"""What `training prepare` kept and what it dropped, for people."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import NO_WORLD, SPLITS, WORLD

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


def markdown(
    layouts: Sequence[str], rows: Sequence[dict[str, Any]], dropped: Sequence[Dropped], moved_groups: int
) -> str:
    """Counts kept for each source and split, counts dropped for each reason, and what needs attention."""
    lines = [f"# {len(rows)} faces kept, {len(dropped)} files dropped", "", f"Found: {'; '.join(layouts)}.", ""]
    lines += ["| label | source | train | val | test | world | groups |", "|---|---|--:|--:|--:|--:|--:|"]
    counts = Counter((row["label"], row["source"], row["split"]) for row in rows)
    for label, source in sorted({(row["label"], row["source"]) for row in rows}):
        groups = {row["group"] for row in rows if (row["label"], row["source"]) == (label, source)}
        numbers = [str(counts[label, source, split]) for split in SPLITS]
        lines.append(f"| {label} | {source} | {' | '.join(numbers)} | {len(groups)} |")
    lines += ["", "| dropped because | files | |", "|---|--:|---|"]
    reasons = Counter(item.reason for item in dropped)
    lines += [f"| {reason} | {count} | {REASONS[reason]} |" for reason, count in reasons.most_common()]
    lines += ["", "Each dropped file, with details: `dropped.csv`.", ""]
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
