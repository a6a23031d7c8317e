"""How files are written, known and named to people, and where those lie that can be made again."""

import hashlib
import os
import sys
from pathlib import Path

CACHE_VARIABLE = "FACECHECK_CACHE"


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(content: Path | bytes) -> str:
    """The sha256 of a file, or of what was read of one, in hexadecimal; of a file little is in memory at a time."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
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
