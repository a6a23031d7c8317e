"""What a scan looks at: files, folders, patterns and lists of names, one at a time."""

import codecs
import glob
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import IO

from facecheck.errors import ScanError
from facecheck.files import naming
from facecheck.sanitising import open_file

STANDARD_INPUT = "-"
CHUNK_BYTES = 1 << 16
PICTURE_ENDINGS = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".heic", ".heif", ".jxl", ".mp4", ".m4v",
    ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".wmv",
))  # fmt: skip
MAGIC = (
    b"\xff\xd8\xff", b"\xff\x0a", b"\0\0\0\x0cJXL", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF",
    b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51",
)  # fmt: skip
"""How pictures begin; a wrong ending is no reason to look away."""
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
UNMARKED_UTF16 = re.compile(rb"(?:[^\0]\0){8}|(?:\0[^\0]){8}")
"""A list with NUL between the names whose first eight have one letter each is less likely."""
MOST_SIBLINGS = 5000
"""Names of a folder that are looked through for the one that was meant."""


@dataclass
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
            Also left out under other names, through links: one file is known by its device and inode.
        pictures_only: of folders, without `globs`, only files that seem to be pictures or clips, by their name or by
            how they begin; the others (sidecars, thumbnails of systems) are counted in `skipped`.
        since_ns: only files that were changed since then, nanoseconds after 1970.
        absolute: False gives the paths as they were named.
        skipped: files that the last iteration left out as no pictures.
        vanished: files that were there when their folder was listed, and then no more.
    """

    named: Sequence[str] = ()
    globs: Sequence[str] = ()
    list_file: str | None = None
    recursive: bool = True
    leave_out: Collection[str] = ()
    pictures_only: bool = False
    since_ns: int | None = None
    absolute: bool = True
    skipped: int = field(default=0, init=False)
    vanished: int = field(default=0, init=False)

    @property
    def can_repeat(self) -> bool:
        """Whether the files can be counted beforehand."""
        return self.list_file is None or (self.list_file != STANDARD_INPUT and Path(self.list_file).is_file())

    def __iter__(self) -> Iterator[str]:
        self.skipped = self.vanished = 0
        own = frozenset(filter(None, map(_identity, self.leave_out)))
        for name, is_listed in self._names():
            path = os.path.abspath(name) if self.absolute and not is_address(name) else name
            for found in [path] if is_listed else self._files_of(path):
                if found not in self.leave_out and _identity(found) not in own and not self._is_old(found):
                    yield found

    def misspelt(self) -> Iterator[tuple[str, str]]:
        """What was named and is not there, with the path that may have been meant."""
        for name in self.named:
            if (
                name != STANDARD_INPUT
                and not is_address(name)
                and not glob.has_magic(name)
                and not os.path.lexists(name)
            ):
                meant = nearest_path(name)
                if meant is not None:
                    yield name, meant

    def _names(self) -> Iterator[tuple[str, bool]]:
        """What was named, and whether by the list, where a folder is a mistake: it becomes a row with an error."""
        for name in self.named:
            found = False
            if glob.has_magic(name) and not os.path.lexists(name):
                for match in sorted(matches(name)):
                    found = True
                    yield match, False
            if not found:
                yield name, False
        if self.list_file is not None:
            name = "standard input" if self.list_file == STANDARD_INPUT else self.list_file
            with naming(Path(name)), _opened(self.list_file) as stream:
                yield from ((name, True) for name in listed(stream))

    def _files_of(self, path: str) -> Iterator[str]:
        if not os.path.isdir(path):
            yield path
            return
        closed: list[OSError] = []
        for folder, subfolders, names in os.walk(path, onerror=closed.append):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                inside = os.path.join(folder, name)
                if name.startswith(".") or not self._matches(os.path.relpath(inside, path)):
                    continue
                if self.pictures_only and not self.globs and not seems_picture(inside):
                    self.skipped += 1
                elif os.path.lexists(inside):
                    yield inside
                else:
                    self.vanished += 1
            if not self.recursive:
                break
        yield from (str(error.filename) for error in closed)

    def _is_old(self, path: str) -> bool:
        if self.since_ns is None:
            return False
        try:
            return Path(path).stat().st_mtime_ns < self.since_ns
        except (OSError, ValueError):
            return False

    def _matches(self, inside: str) -> bool:
        path = inside.lower()
        return not self.globs or any(
            fnmatchcase(path if "/" in pattern else Path(path).name, pattern.lower()) for pattern in self.globs
        )


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a file, which are the same under all its names; None where there is none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_address(name: str) -> bool:
    """Whether it is no path but https://... and the like, which a path would mangle."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name) is not None and not os.path.lexists(name)


def seems_picture(path: str) -> bool:
    """Whether a file claims to be a picture or a clip, by the end of its name or by its first bytes.

    What cannot be opened does not say otherwise.
    """
    from facecheck.video import HEAD_BYTES, is_clip

    if Path(path).suffix.lower() in PICTURE_ENDINGS or not Path(path).is_file():
        return True
    try:
        with open_file(path) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return True
    return head.startswith(MAGIC) or head[4:8] == b"ftyp" or re.match(rb"P[1-7]\s", head) is not None or is_clip(head)


def nearest_path(name: str) -> str | None:
    """An existing path that is spelt nearly so; None if there is none."""
    found = Path(os.path.abspath(name)).anchor
    for part in Path(os.path.abspath(name)).parts[1:]:
        if os.path.lexists(os.path.join(found, part)):
            found = os.path.join(found, part)
            continue
        try:
            with os.scandir(found) as entries:
                names = [entry.name for entry in islice(entries, MOST_SIBLINGS)]
        except OSError:
            return None
        meant = get_close_matches(part, names, 1, 0.7)
        if not meant:
            return None
        found = os.path.join(found, meant[0])
    return found if Path(name).is_absolute() else os.path.relpath(found)


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
    """The names in a list: NUL between them if one is in the first 64 KiB, else one a line; empty ones are skipped.

    A byte order mark decides what the bytes are: UTF-8, UTF-16 or UTF-32, as PowerShell and Notepad write them. Without
    one they are as in names of files.

    Raises:
        ScanError: the list is in UTF-16 without a mark, or not in what its mark says.
    """
    chunk = stream.read(CHUNK_BYTES)
    mark, encoding = next((known for known in MARKS if chunk.startswith(known[0])), (b"", ""))
    chunk = chunk[len(mark) :] or stream.read(CHUNK_BYTES)
    if not mark and UNMARKED_UTF16.match(chunk):
        raise ScanError("the list seems to be UTF-16 without a byte order mark; save it as UTF-8")
    decoder = codecs.getincrementaldecoder(encoding or sys.getfilesystemencoding())(
        "strict" if encoding else sys.getfilesystemencodeerrors()
    )
    try:
        text = decoder.decode(chunk)
        separator, tail = "\0" if "\0" in text else "\n", ""
        while chunk:
            *whole, tail = (tail + text).split(separator)
            yield from _named(whole, separator)
            chunk = stream.read(CHUNK_BYTES)
            text = decoder.decode(chunk, final=not chunk)
        yield from _named([tail + text], separator)
    except UnicodeDecodeError as error:
        raise ScanError(
            f"the list is not in {error.encoding}, as its byte order mark says; save it as UTF-8"
        ) from error


def _named(names: Iterable[str], separator: str) -> Iterator[str]:
    for name in names:
        cleaned = name.rstrip("\r") if separator == "\n" else name
        if cleaned:
            yield cleaned


def _opened(list_file: str) -> AbstractContextManager[IO[bytes]]:
    if list_file != STANDARD_INPUT:
        return Path(list_file).open("rb")
    # Unbuffered: a name is read as soon as it comes, and no lock is held when Ctrl-C ends a wait for the next.
    return nullcontext(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
