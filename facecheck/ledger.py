"""The append-only file of JSON lines that survives kill -9; scans, data generation and training keep theirs in it.

Rows are written by one call, with their newlines. Whatever kills the process, at most the last line is half there;
whoever opens the file next for writing cuts it off, and whoever only reads passes it over. One process writes at a
time.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from facecheck.errors import LedgerBusyError, LedgerError

TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Line:
    """A whole line of the file.

    Attributes:
        number: from 1. offset: where it begins, bytes. text: with its newline.
    """

    number: int
    offset: int
    text: bytes

    def parsed(self) -> dict[str, Any]:
        """The row.

        Raises:
            ValueError: it is not a JSON object.
        """
        row = json.loads(self.text)
        if not isinstance(row, dict):
            raise ValueError(f"a {type(row).__name__}, not an object")
        return row


class Ledger:
    """Open for writing. Use as a context manager, or call `open` and `close`.

    Args:
        path: made if there is none, with its folder.
        beginning: what the file must begin with; another one is left as it is.
        kind: what messages call such a file.
    """

    def __init__(self, path: Path, beginning: bytes = b"{", kind: str = "a file of JSON lines") -> None:
        self.path, self.beginning, self.kind = path, beginning, kind

    def open(self) -> Self:
        """Claim the file, and cut off a half-written last line.

        Raises:
            LedgerBusyError: another process writes to it. LedgerError: it cannot be opened, or is no such file.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be opened for writing ({error.strerror})") from error
        try:
            self._claim()
            self._size = self._synced = self._repaired()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def close(self) -> None:
        """Wait until all of it is on the disk, and let others write."""
        try:
            self.sync()
        finally:
            os.close(self._file)

    def append(self, *rows: Mapping[str, Any]) -> int:
        """Write rows, all or none of them; from now on only the machine can lose them, not the process.

        Returns:
            Where the line of the first begins, bytes.

        Raises:
            LedgerError: the disk is full, or gone; the file was removed or replaced.
        """
        self.require_in_place()
        lines, offset = b"".join(map(encoded, rows)), self._size
        try:
            written = os.write(self._file, lines)
        except OSError as error:
            raise self._unwritable(error) from error
        if written < len(lines):
            os.ftruncate(self._file, offset)
            full = OSError(errno.ENOSPC, "the disk is full")
            raise self._unwritable(full) from full
        self._size += len(lines)
        return offset

    def require_in_place(self) -> None:
        """Whoever removes or replaces an open file leaves us one without a name, that nobody will ever read.

        Raises:
            LedgerError: that has happened.
        """
        try:
            found, ours = self.path.stat(), os.fstat(self._file)
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                return
            what = "replaced"
        except OSError:
            what = "removed"
        raise LedgerError(f"{self.path} was {what} while it was written; what was written since is lost, begin again")

    def sync(self) -> None:
        """Wait until what was written is on the disk, so that the machine cannot lose it either.

        Raises:
            LedgerError: the disk is full, or gone.
        """
        if self._size > self._synced:
            try:
                os.fsync(self._file)
            except OSError as error:  # Of a disk that is written later, over a network.
                raise self._unwritable(error) from error
            self._synced = self._size

    def _unwritable(self, error: OSError) -> LedgerError:
        return LedgerError(f"{self.path} cannot be written ({error.strerror})")

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _claim(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerBusyError(f"{self.path} is being written by another process; wait for it") from error

    def _repaired(self) -> int:
        """Cut off a half-written last line; return the size, bytes."""
        size = os.fstat(self._file).st_size
        found = os.pread(self._file, len(self.beginning), 0)
        if not self.beginning.startswith(found):
            raise LedgerError(f"{self.path} exists and is not {self.kind}")
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


class KeyedLedger(Ledger):
    """A ledger whose rows have a key; the last row of a key counts, and all of them are in memory.

    Attributes:
        entries: the last row of each key, in the order of the keys' first rows.
    """

    def open(self) -> Self:
        """As `Ledger.open`.

        Raises:
            LedgerError: also for a damaged line in the middle.
        """
        super().open()
        try:
            self.entries: dict[str, Mapping[str, Any]] = {}
            for line in whole_lines(self.path):
                self._note(line)
        except BaseException:
            self.close()
            raise
        return self

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Write the entry of a key, in place of an earlier one."""
        self.entries[key] = {"key": key, **entry}
        self.append(self.entries[key])

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys without an entry, in order, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self.entries]

    def _note(self, line: Line) -> None:
        try:
            row = line.parsed()
            self.entries[row["key"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"line {line.number} of {self.path} is damaged ({error!r}); remove it") from error


def encoded(row: Mapping[str, Any]) -> bytes:
    """The line of a row: ASCII, whatever is in it, so that no reader splits or decodes it otherwise."""
    return json.dumps(row, allow_nan=False).encode("ascii") + b"\n"


def whole_lines(path: Path, offset: int = 0) -> Iterator[Line]:
    """The lines of a file, without a half-written last one; it may be written meanwhile.

    Args:
        offset: where to begin, bytes: the end of a line, whose next one gets the number 1.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        for number, text in enumerate(stream, 1):
            if text.endswith(b"\n"):
                yield Line(number, offset, text)
                offset += len(text)
