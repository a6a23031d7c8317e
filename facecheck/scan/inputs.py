"""What a scan looks at: files, folders, patterns and lists of names, one at a time."""

import glob
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

STANDARD_INPUT = "-"
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Inputs:
    """The files of a scan, as absolute paths; iterate as often as you like, unless a list comes through a pipe.

    Folders give all their files (a wrong extension is no reason to look away) but the hidden ones, sorted by name; the
    names of one folder at a time are in memory. Links to folders are not followed, so that no loop can hold a scan. A
    folder that cannot be listed is given itself: it becomes a row with an error.

    Attributes:
        named: files, folders, or patterns such as "photos/**/*.jpg".
        globs: of folders only the files that match one of these; without regard to case. A pattern with a slash is held
            against the path inside the folder, others against the name.
        list_file: file with one path a line (or NUL between them, as `find -print0` writes); "-" is standard input.
        recursive: whether the folders in folders are entered.
        leave_out: absolute paths of files that are not given: what the scan itself writes.
    """

    named: Sequence[str] = ()
    globs: Sequence[str] = ()
    list_file: str | None = None
    recursive: bool = True
    leave_out: Collection[str] = ()

    @property
    def can_repeat(self) -> bool:
        """Whether the files can be counted beforehand."""
        return self.list_file is None or (self.list_file != STANDARD_INPUT and Path(self.list_file).is_file())

    def __iter__(self) -> Iterator[str]:
        for name in self._names():
            for path in self._files_of(os.path.abspath(name)):
                if path not in self.leave_out:
                    yield path

    def _names(self) -> Iterator[str]:
        for name in self.named:
            found = False
            if glob.has_magic(name) and not os.path.lexists(name):
                for match in sorted(matches(name)):
                    found = True
                    yield match
            if not found:
                yield name
        if self.list_file is not None:
            with _opened(self.list_file) as stream:
                yield from listed(stream)

    def _files_of(self, path: str) -> Iterator[str]:
        if not os.path.isdir(path):
            yield path
            return
        closed: list[OSError] = []
        for folder, subfolders, names in os.walk(path, onerror=closed.append):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and self._matches(os.path.relpath(os.path.join(folder, name), path)):
                    yield os.path.join(folder, name)
            if not self.recursive:
                break
        yield from (str(error.filename) for error in closed)

    def _matches(self, inside: str) -> bool:
        path = inside.lower()
        return not self.globs or any(
            fnmatchcase(path if "/" in pattern else Path(path).name, pattern.lower()) for pattern in self.globs
        )


def matches(pattern: str) -> Iterator[str]:
    """What a pattern finds. "**" enters no links to folders, and like "*" nothing hidden unless the pattern does.

    Where a folder cannot be entered it finds nothing.
    """
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    wanted = [part if part == "**" else re.sub(r"\*+", "*", part) for part in parts[fixed:]]
    shows_hidden = any(part.startswith(".") for part in wanted)
    root, only_folders = Path(*parts[:fixed]), pattern.endswith(os.sep)
    with suppress(OSError):
        for path in root.glob("/".join(wanted)):
            is_hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if (shows_hidden or not is_hidden) and (not only_folders or path.is_dir()):
                yield str(path)


def listed(stream: IO[bytes]) -> Iterator[str]:
    """The names in a list: NUL between them if one is in the first 64 KiB, else one a line; empty ones are skipped."""
    chunk = stream.read(CHUNK_BYTES)
    separator = b"\0" if b"\0" in chunk else b"\n"
    tail = b""
    while chunk:
        *whole, tail = (tail + chunk).split(separator)
        yield from _decoded(whole, separator)
        chunk = stream.read(CHUNK_BYTES)
    yield from _decoded([tail], separator)


def _decoded(names: Iterable[bytes], separator: bytes) -> Iterator[str]:
    for name in names:
        cleaned = name.rstrip(b"\r") if separator == b"\n" else name
        if cleaned:
            yield os.fsdecode(cleaned)


def _opened(list_file: str) -> AbstractContextManager[IO[bytes]]:
    if list_file != STANDARD_INPUT:
        return Path(list_file).open("rb")
    # Unbuffered: a name is read as soon as it comes, and no lock is held when Ctrl-C ends a wait for the next.
    return nullcontext(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
