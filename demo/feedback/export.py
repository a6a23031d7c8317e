"""Reviewed objections -> a folder that `python -m training prepare` reads: manifest.csv beside real/ and fake/."""

import csv
import io
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from demo.feedback.store import LABELS, Objection
from facecheck.files import write_atomically

SOURCE = "reality-check"
COLUMNS = ("file", "label", "source", "generator", "licence", "group", "created", "objected_to", "p_fake")
OWN_NAME = re.compile(r"objection-\d{6,}\.(jpg|png)")


def export(objections: Iterable[Objection], out: Path) -> int:
    """Copy the accepted pictures into OUT and write OUT/manifest.csv last, so that a half-made export has no table.

    What an earlier export wrote and is no longer accepted, or was deleted by its sender, goes.

    Returns:
        How many were exported.
    """
    rows = []
    for objection in objections:
        if objection.decision not in LABELS:
            continue
        target = out / objection.decision / f"objection-{objection.id:06d}{objection.path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(objection.path, target)
        rows.append(_row(objection, target.relative_to(out)))
    _remove_strays(out, {str(row["file"]) for row in rows})
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "manifest.csv", _table(rows).encode())
    return len(rows)


def _remove_strays(out: Path, kept: set[str]) -> None:
    for label in LABELS:
        for path in (out / label).glob("objection-*"):
            if OWN_NAME.fullmatch(path.name) and path.relative_to(out).as_posix() not in kept:
                path.unlink()


def _row(objection: Objection, file: Path) -> dict[str, object]:
    return {
        "file": file.as_posix(),
        "label": objection.decision,
        "source": SOURCE,
        "generator": "unknown" if objection.decision == "fake" else "",
        "licence": "consent of the sender, for improving the model",
        "group": f"objection-{objection.id}",
        "created": objection.created,
        "objected_to": objection.prediction["verdict"],
        "p_fake": objection.prediction["p_fake"],
    }


def _table(rows: list[dict[str, object]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
