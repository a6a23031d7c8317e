"""How files are written, known and named to people, and where those lie that can be made again."""

import glob
import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from facecheck.sanitising import open_file

CACHE_VARIABLE = "FACECHECK_CACHE"


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never half of it.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with partial_of(path, sweeps=False) as partial, naming(path):
        partial.write_bytes(data)
        partial.replace(path)


def write_together(files: Mapping[Path, bytes]) -> None:
    """As `write_atomically`, of files that belong together: all are written before the first gets its name.

    What earlier processes left that were killed meanwhile is removed.

    Raises:
        OSError: one cannot be written; names it.
    """
    with ExitStack() as stack:
        partials = [stack.enter_context(partial_of(path)) for path in files]
        for partial, (path, data) in zip(partials, files.items(), strict=True):
            with naming(path):
                partial.write_bytes(data)
        for partial, path in zip(partials, files, strict=True):
            with naming(path):
                partial.replace(path)


@contextmanager
def partial_of(path: Path, *, sweeps: bool = True) -> Iterator[Path]:
    """Where a file is written before it gets its name; removed afterwards.

    Args:
        sweeps: remove first what processes of this machine left of it that were killed; the folder is listed for that.
    """
    host = re.sub(r"\W", "-", platform.node())
    for left in path.parent.glob(f".{glob.escape(path.name)}.{host}.*.partial") if sweeps else ():
        process = left.name.rsplit(".", 2)[1]
        if process.isdigit() and not _is_running(int(process)):
            left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{host}.{os.getpid()}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system in this block name the file that was meant, not a temporary one or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # Another's, or a system that cannot be asked.
        return True
    return True


def sha256_of(content: Path | bytes) -> str:
    """The sha256 of a file, or of what was read of one, in hexadecimal; of a file little is in memory at a time."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with open_file(content) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where facecheck keeps what it can make again: `FACECHECK_CACHE`, or a folder of this user. It may not exist yet.

    Raises:
        RuntimeError: nothing says where this user's files are.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facecheck" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facecheck"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path is invalid there and to be ignored, says the XDG base directory specification.
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "facecheck"


def printable(text: str) -> str:
    """Names of files are hostile input: what cannot be printed, or is no text, is shown as an escape."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def spreadsheet_cell(text: str) -> str:
    """The text as a table may hold it: one that starts like a formula would run in a spreadsheet."""
    return printable(f"'{text}" if text.startswith(("=", "+", "-", "@")) else text)
