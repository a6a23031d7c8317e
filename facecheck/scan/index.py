"""Which files a ledger knows, in a database that spills to disk, so that memory does not grow with the folder."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from facecheck.scan.rows import Candidate

_TABLE = """CREATE TABLE files (
    path BLOB PRIMARY KEY, place INTEGER, size INTEGER, mtime_ns INTEGER, fits INTEGER, verdict TEXT,
    claimed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"""


@dataclass(frozen=True)
class Known:
    """The last row of a file, as far as the index keeps it.

    Attributes:
        place: where its line begins in the ledger, bytes.
        fits: whether the present settings would make the same row.
        verdict: None for a file that could not be read.
    """

    candidate: Candidate
    place: int
    fits: bool
    verdict: str | None


class Index:
    """Safe to use from several threads; private to this process, and gone with it."""

    def __init__(self) -> None:
        # An empty name: a temporary file that SQLite removes, of which a few MB are cached.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(_TABLE)
        self._database.execute("BEGIN")  # Never ended: nobody else reads it, and it need not survive.
        self._lock = threading.Lock()

    def add(self, known: Known) -> None:
        """Note the last row of a path, in place of an earlier one."""
        file = known.candidate
        values = (os.fsencode(file.path), known.place, file.size, file.mtime_ns, known.fits, known.verdict)
        with self._lock:
            self._database.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, 0) "
                "ON CONFLICT (path) DO UPDATE SET place = excluded.place, size = excluded.size, "
                "mtime_ns = excluded.mtime_ns, fits = excluded.fits, verdict = excluded.verdict",
                values,
            )

    def claim(self, path: str) -> bool:
        """Whether this is the first time that this scan meets the path."""
        key = (os.fsencode(path),)
        with self._lock:
            seen = self._database.execute("SELECT claimed FROM files WHERE path = ?", key).fetchone()
            self._database.execute(
                "INSERT INTO files (path, claimed) VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET claimed = 1", key
            )
        return seen is None or not seen[0]

    def known(self, path: str) -> Known | None:
        """What is known of a path; None if it has no row."""
        with self._lock:
            found = self._database.execute(
                "SELECT place, size, mtime_ns, fits, verdict FROM files WHERE path = ? AND place IS NOT NULL",
                (os.fsencode(path),),
            ).fetchone()
        if found is None:
            return None
        place, size, mtime_ns, fits, verdict = found
        return Known(Candidate(path, size, mtime_ns), place, bool(fits), verdict)

    def unfit(self) -> int:
        """Number of rows that the present settings would not make."""
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM files WHERE NOT fits").fetchone()[0])

    def places(self) -> Iterator[int]:
        """Where the last row of each path begins, in the order of the ledger."""
        with self._lock:
            self._database.execute("CREATE INDEX IF NOT EXISTS by_place ON files (place)")
        last = -1
        while True:
            with self._lock:
                found = self._database.execute(
                    "SELECT place FROM files WHERE place > ? ORDER BY place LIMIT 10000", (last,)
                ).fetchall()
            if not found:
                return
            yield from (place for (place,) in found)
            last = found[-1][0]

    def close(self) -> None:
        """Remove it."""
        with self._lock:
            self._database.close()
