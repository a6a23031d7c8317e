"""Where consented objections live: one SQLite table and one file a picture, below a folder of the operator.

A picture is written before its row and removed after it, so that a crash leaves at most a file without a row; such
files are removed when the store is opened next. What a picture tells about its owner (place, time, camera, thumbnails,
comments) is not kept.
"""

import contextlib
import errno
import hashlib
import io
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from facecheck import image
from facecheck.files import write_atomically
from facecheck.provenance.containers import MARKER
from facecheck.result import Prediction

LABELS = {"real": "It is a photograph of a person", "fake": "It was generated"}
"""What a visitor may say about a picture, in the words that they read."""
MAX_COMMENT = 1000
ORPHAN_AGE_S = 60
# Receipt codes are in Crockford's base 32: no I, L, O, U.
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS, GROUP = 4, 4
READ_AS = str.maketrans("ILO", "110")
ORIENTATION_TAG = 0x0112
JFIF, EXIF, ICC_PROFILE, ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
SCAN, END = 0xDA, b"\xff\xd9"
# Frames, tables, scans and restarts.
CODING = {*range(0xC0, 0xD0), *range(0xDA, 0xE0)}
TABLE = """
CREATE TABLE IF NOT EXISTS objections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, receipt TEXT UNIQUE NOT NULL, created TEXT NOT NULL, file TEXT NOT NULL,
    bytes INTEGER NOT NULL, label TEXT NOT NULL, comment TEXT NOT NULL, prediction TEXT NOT NULL, model TEXT NOT NULL,
    decision TEXT NOT NULL DEFAULT 'open', decided TEXT NOT NULL DEFAULT ''
)
"""


class StoreFullError(Exception):
    """Keeping one more would go beyond the operator's limit."""


@dataclass(frozen=True)
class Objection:
    """One visitor's objection.

    Attributes:
        path: of the picture, without metadata. label: what the visitor says: real or fake.
        prediction: `Prediction.to_dict()` of the answer that they object to, without provenance: that is metadata.
        model: name and version.
        decision: open, real, fake or rejected: what the reviewer says.
    """

    id: int
    created: str
    path: Path
    label: str
    comment: str
    prediction: dict[str, Any]
    model: str
    decision: str


class Store:
    """The objections below one folder, made on the first objection; safe to use from several threads and processes.

    Args:
        max_bytes: of all pictures together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self._max_bytes = folder, max_bytes
        self._writing = threading.Lock()

    def add(self, data: bytes, label: str, comment: str, prediction: Prediction) -> str:
        """Keep an objection and return its receipt code.

        Raises:
            ValueError: not a label. StoreFullError. ImageError: the bytes are no picture. OSError: the disk is full.
        """
        if label not in LABELS:
            raise ValueError(f"label {label!r} is not one of {', '.join(LABELS)}")
        picture, suffix = without_metadata(data)
        receipt, model, said = new_receipt(), prediction.model, replace(prediction, provenance=None).to_dict()
        values = (
            fingerprint(receipt), _now(), f"{fingerprint(receipt)[:32]}{suffix}", len(picture), label,
            comment[:MAX_COMMENT], json.dumps(said), f"{model.name} {model.version}" if model else "",
        )  # fmt: skip
        try:
            self._insert(values, picture)
        except BaseException:  # Else the picture of somebody who has no receipt would stay.
            (self._pictures / values[2]).unlink(missing_ok=True)
            raise
        return receipt

    def _insert(self, values: tuple[Any, ...], picture: bytes) -> None:
        target = self._pictures / values[2]
        with self._writing, self._table() as table:
            # The lock of SQLite keeps other processes from filling the same room.
            table.execute("BEGIN IMMEDIATE")
            (used,) = table.execute("SELECT coalesce(sum(bytes), 0) FROM objections").fetchone()
            if used + len(picture) > self._max_bytes:
                raise StoreFullError
            write_atomically(target, picture)
            target.chmod(0o600)
            table.execute(
                "INSERT INTO objections (receipt, created, file, bytes, label, comment, prediction, model) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def delete(self, receipt: str) -> bool:
        """Delete an objection and its picture; False if there is none with this code."""
        if not self.exists:
            return False
        with self._table() as table:
            found = table.execute("SELECT id FROM objections WHERE receipt = ?", (fingerprint(receipt),)).fetchone()
        return found is not None and self.remove(found[0])

    def remove(self, identity: int) -> bool:
        """Delete the objection with this number and its picture; False if there is none."""
        with self._writing, self._table() as table:
            row = table.execute("DELETE FROM objections WHERE id = ? RETURNING file", (identity,)).fetchone()
        if row is not None:
            (self._pictures / row[0]).unlink(missing_ok=True)
        return row is not None

    def all(self) -> list[Objection]:
        """Every objection, oldest first."""
        if not self.exists:
            return []
        columns = "id, created, file, label, comment, prediction, model, decision"
        with self._table() as table:
            rows = table.execute(f"SELECT {columns} FROM objections ORDER BY id").fetchall()
        return [
            Objection(row[0], row[1], self._pictures / row[2], row[3], row[4], json.loads(row[5]), row[6], row[7])
            for row in rows
        ]

    def decide(self, identity: int, decision: str) -> bool:
        """Note what the reviewer says: real, fake, rejected or open; False if there is no such objection."""
        if not self.exists:
            return False
        with self._writing, self._table() as table:
            values = (decision, _now(), identity)
            return table.execute("UPDATE objections SET decision = ?, decided = ? WHERE id = ?", values).rowcount > 0

    @property
    def exists(self) -> bool:
        """Whether anything was ever kept here."""
        return (self.folder / "objections.sqlite").is_file()

    @property
    def _pictures(self) -> Path:
        return self.folder / "pictures"

    @contextlib.contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        """A connection with the table in it; commits at the end, or rolls back.

        Raises:
            OSError: the disk is full, or the database is locked; names it.
        """
        self._pictures.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        path = self.folder / "objections.sqlite"
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(TABLE)
                connection.commit()
                with connection:
                    yield connection
        except sqlite3.OperationalError as error:
            raise OSError(errno.EIO, str(error), str(path)) from error

    def sweep(self) -> int:
        """Remove pictures that no row speaks of, left by a crash; returns how many."""
        if not self.exists:
            return 0
        known, oldest = {objection.path for objection in self.all()}, time.time() - ORPHAN_AGE_S
        lost = [path for path in self._pictures.iterdir() if path not in known and path.stat().st_mtime < oldest]
        for path in lost:
            path.unlink(missing_ok=True)
        return len(lost)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_receipt() -> str:
    """80 random bits as four groups of four letters, easy to copy by hand."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))


def fingerprint(receipt: str) -> str:
    """SHA-256 of a receipt, all of it that is stored, however it was typed: lower case, without hyphens, O for 0."""
    letters = receipt.upper().translate(READ_AS)
    return hashlib.sha256("".join(letter for letter in letters if letter in LETTERS).encode()).hexdigest()


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
