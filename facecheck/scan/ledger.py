"""The JSONL file of a scan: rows are only ever added, and the last row of a path counts.

A line is written by one call, with its newline. Whatever kills the process, at most the last line is half there; the
next scan cuts it off and does that file again. One process writes at a time.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from facecheck.errors import ScanError
from facecheck.scan.index import Index, Known
from facecheck.scan.rows import Candidate, Row, Settings

BEGINNING = b'{"path": '
TAIL_BYTES = 1 << 16


class Ledger:
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

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise ScanError(
                f"{self.path} cannot be opened for writing ({error.strerror}); choose another --out"
            ) from error
        try:
            self._claim()
            self._size = self._found = self._repaired()
            for place, row in self._read():
                self._note(place, row)
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._size > self._found:
            os.fsync(self._file)
        os.close(self._file)
        self.index.close()

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows.

        Raises:
            ScanError: the disk is full, or gone.
        """
        for row in rows:
            line = json.dumps(row).encode() + b"\n"
            try:
                written = os.write(self._file, line)
            except OSError as error:
                raise ScanError(f"{self.path} cannot be written ({error.strerror})") from error
            if written < len(line):
                raise ScanError(f"{self.path} cannot be written (the disk is full)")
            self._note(self._size, row)
            self._size += len(line)

    def finished(self, candidate: Candidate) -> Known | None:
        """The row of a file that need not be looked at again: unchanged, and made with these settings."""
        known = self.index.known(candidate.path)
        return known if known is not None and known.fits and known.candidate == candidate else None

    def rows(self) -> Iterator[Row]:
        """The last row of each path, in the order in which they were written."""
        with self.path.open("rb") as stream:
            for place in self.index.places():
                stream.seek(place)
                yield json.loads(stream.readline())

    def _note(self, place: int, row: Row) -> None:
        candidate = Candidate(row["path"], row["size"], row["mtime_ns"])
        self.index.add(Known(candidate, place, self.settings.fits(row), row["verdict"]))

    def _claim(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ScanError(
                f"{self.path} is being written by another scan; wait for it, or choose another --out"
            ) from error

    def _repaired(self) -> int:
        """Cut off a half-written last line; return the size, bytes."""
        size = os.fstat(self._file).st_size
        beginning = os.pread(self._file, len(BEGINNING), 0)
        if not BEGINNING.startswith(beginning):
            raise ScanError(f"{self.path} exists and is not the output of a scan; choose another --out")
        end = size
        while end:
            start = max(end - TAIL_BYTES, 0)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)
        return end

    def _read(self) -> Iterator[tuple[int, Row]]:
        place = 0
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                yield place, self._parsed(line, number)
                place += len(line)

    def _parsed(self, line: bytes, number: int) -> Row:
        try:
            row: Any = json.loads(line)
            os.fsencode(row["path"])
            self.settings.fits(row)
            if {"size", "mtime_ns", "verdict"} <= row.keys():
                return dict(row)
            raise ValueError("parts of it are missing")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ScanError(
                f"line {number} of {self.path} is not a row of a scan ({error!r}); repair it or choose another --out"
            ) from error
