"""The rows of a scan, only ever added: the last row of a path counts, and an index knows which are current."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facecheck.errors import LedgerBusyError, LedgerError, ScanError
from facecheck.ledger import Ledger, Line, whole_lines
from facecheck.scan.rows import Candidate, Row, Settings

BEGINNING = b'{"path": '
TABLES = (".parquet", ".csv", ".sqlite")
"""Outputs that are made of the rows at the end; the rows stay in NAME.jsonl beside them."""
_TABLE = """CREATE TABLE files (
    path BLOB PRIMARY KEY, byte_offset INTEGER, size INTEGER, mtime_ns INTEGER, fits INTEGER, verdict TEXT,
    claimed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"""


@dataclass(frozen=True)
class Known:
    """The last row of a file, as far as the index keeps it.

    Attributes:
        offset: where its line begins in the ledger, bytes.
        fits: whether the present settings would make the same row.
        verdict: None for a file that could not be read.
    """

    candidate: Candidate
    offset: int
    fits: bool
    verdict: str | None


class Index:
    """Safe to use from several threads; private to this process, and gone with it."""

    def __init__(self) -> None:
        # An empty name: a temporary file that SQLite removes, of which a few MB are cached.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        with self._using():
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute(_TABLE)
            self._database.execute("BEGIN")  # Never ended: nobody else reads it, and it need not survive.

    def add(self, known: Known) -> None:
        """Note the last row of a path, in place of an earlier one."""
        file = known.candidate
        values = (os.fsencode(file.path), known.offset, file.size, file.mtime_ns, known.fits, known.verdict)
        with self._using():
            self._database.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, 0) "
                "ON CONFLICT (path) DO UPDATE SET byte_offset = excluded.byte_offset, size = excluded.size, "
                "mtime_ns = excluded.mtime_ns, fits = excluded.fits, verdict = excluded.verdict",
                values,
            )

    def claim(self, path: str) -> bool:
        """Whether this is the first time that this scan meets the path."""
        key = (os.fsencode(path),)
        with self._using():
            seen = self._database.execute("SELECT claimed FROM files WHERE path = ?", key).fetchone()
            self._database.execute(
                "INSERT INTO files (path, claimed) VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET claimed = 1", key
            )
        return seen is None or not seen[0]

    def release(self) -> None:
        """From now on every path is met for the first time again."""
        with self._using():
            self._database.execute("UPDATE files SET claimed = 0")

    def known(self, path: str) -> Known | None:
        """What is known of a path; None if it has no row."""
        with self._using():
            found = self._database.execute(
                "SELECT byte_offset, size, mtime_ns, fits, verdict FROM files "
                "WHERE path = ? AND byte_offset IS NOT NULL",
                (os.fsencode(path),),
            ).fetchone()
        if found is None:
            return None
        offset, size, mtime_ns, fits, verdict = found
        return Known(Candidate(path, size, mtime_ns), offset, bool(fits), verdict)

    def unfit(self) -> int:
        """Number of rows that the present settings would not make."""
        with self._using():
            return int(self._database.execute("SELECT count(*) FROM files WHERE NOT fits").fetchone()[0])

    def offsets(self) -> Iterator[int]:
        """Where the last row of each path begins, in the order of the ledger."""
        with self._using():
            self._database.execute("CREATE INDEX IF NOT EXISTS by_offset ON files (byte_offset)")
        last = -1
        while True:
            with self._using():
                found = self._database.execute(
                    "SELECT byte_offset FROM files WHERE byte_offset > ? ORDER BY byte_offset LIMIT 10000", (last,)
                ).fetchall()
            if not found:
                return
            yield from (offset for (offset,) in found)
            last = found[-1][0]

    def close(self) -> None:
        """Remove it."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Alone, with an error that says where room is wanted.

        Raises:
            ScanError: the disk that temporary files lie on is full.
        """
        try:
            with self._lock:
                yield
        except sqlite3.OperationalError as error:
            where = os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
            raise ScanError(
                f"the index of the scan needs room in {where} ({error}); free some, or set TMPDIR"
            ) from error


class ScanLedger:
    """Open for one scan. Use as a context manager.

    Args:
        path: the JSONL file; made if there is none.
        settings: those of this scan; they decide which rows are up to date.

    Raises:
        ScanError: not such a file, or another process writes to it.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings
        self.index = Index()
        self._ledger = Ledger(path, BEGINNING, "the output of a scan")

    def __enter__(self) -> Self:
        try:
            self._ledger.open()
        except LedgerBusyError as error:
            raise ScanError(
                f"{self.path} is being written by another scan; wait for it, or choose another --out"
            ) from error
        except LedgerError as error:
            raise ScanError(f"{error}; choose another --out") from error
        try:
            for line in whole_lines(self.path):
                self._note(line.offset, self._parsed(line))
        except BaseException:
            self._ledger.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()
        self.index.close()

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows.

        Raises:
            ScanError: the disk is full, or gone; the file was removed or replaced.
        """
        for row in rows:
            try:
                offset = self._ledger.append(row)
            except LedgerError as error:
                raise ScanError(str(error)) from error
            self._note(offset, row)

    def require_in_place(self) -> None:
        """See `facecheck.ledger.Ledger.require_in_place`.

        Raises:
            ScanError: the file was removed or replaced.
        """
        try:
            self._ledger.require_in_place()
        except LedgerError as error:
            raise ScanError(str(error)) from error

    def finished(self, candidate: Candidate) -> Known | None:
        """The row of a file that need not be looked at again: unchanged, and made with these settings."""
        known = self.index.known(candidate.path)
        return known if known is not None and known.fits and known.candidate == candidate else None

    def rows(self) -> Iterator[Row]:
        """The last row of each path, in the order in which they were written."""
        with self.path.open("rb") as stream:
            for offset in self.index.offsets():
                stream.seek(offset)
                yield json.loads(stream.readline())

    def row(self, path: str) -> Row:
        """The last row of a path.

        Raises:
            KeyError: it has none.
        """
        known = self.index.known(path)
        if known is None:
            raise KeyError(path)
        with self.path.open("rb") as stream:
            stream.seek(known.offset)
            row: Row = json.loads(stream.readline())
        return row

    def _note(self, offset: int, row: Row) -> None:
        candidate = Candidate(row["path"], row["size"], row["mtime_ns"])
        self.index.add(Known(candidate, offset, self.settings.fits(row), row["verdict"]))

    def _parsed(self, line: Line) -> Row:
        try:
            row = line.parsed()
            os.fsencode(row["path"])
            self.settings.fits(row)
            if {"size", "mtime_ns", "verdict"} <= row.keys():
                return row
            raise ValueError("parts of it are missing")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ScanError(
                f"line {line.number} of {self.path} is not a row of a scan ({error!r}); "
                "repair it or choose another --out"
            ) from error


def ledger_path(output: Path) -> Path:
    """The rows of a scan as JSON lines: its output itself, or what stands beside another one.

    Raises:
        ScanError: there are none.
    """
    beside = output.with_name(f"{output.name}.jsonl")
    path = beside if beside.is_file() or output.suffix.lower() in TABLES else output
    if not path.is_file():
        raise ScanError(f"{path} is not there: it is what `facecheck scan --out {output}` writes; check the path")
    return path
