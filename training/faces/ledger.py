"""Finished work as JSON lines that are only ever appended: after a kill -9 all but the line being written is kept."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Entry = Mapping[str, Any]


class Ledger:
    """Entries by key; the last entry of a key counts.

    Args:
        path: created with the first entry. A torn last line is cut off when the file is opened for more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._whole = 0
        if path.is_file():
            self._read()
        self._stream = path.open("ab")
        self._stream.truncate(self._whole)

    def _read(self) -> None:
        with self.path.open("rb") as stream:
            for line in stream:
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    entry = None
                if entry is None:
                    return
                self.entries[entry["key"]] = entry
                self._whole += len(line)

    def add(self, key: str, entry: Entry) -> None:
        """Write one entry; once this returns, only the machine can lose it, not the process."""
        self.entries[key] = {"key": key, **entry}
        self._stream.write(json.dumps(self.entries[key], separators=(",", ":")).encode() + b"\n")
        self._stream.flush()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys without an entry, in order, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self.entries]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()
