"""Where models lie and how files are written; light, so that a command that needs no network loads none."""

import hashlib
import os
import sys
from pathlib import Path

from facecheck.errors import ModelError

WEIGHTS_DIR = Path(__file__).parent / "weights"
DEFAULT_MODEL = "facecheck-resnet50"
CACHE_VARIABLE = "FACECHECK_CACHE"


def available() -> list[str]:
    """Names that `load_model` knows without a path: the models that ship in the package."""
    return sorted(path.stem for path in WEIGHTS_DIR.glob("*.safetensors"))


def model_files(name_or_path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The weights and the config that a name or a path stands for.

    Raises:
        ModelError: no such model.
    """
    text = os.fspath(name_or_path)
    path = Path(text)
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise ModelError(f"folder {text!r} holds {len(found)} .safetensors files; name one of them")
        path = found[0]
    elif path.suffix != ".safetensors" and path.name == text:
        path = WEIGHTS_DIR / f"{text}.safetensors"
    config = path.with_suffix(".json")
    if path.suffix != ".safetensors" or not path.is_file() or not config.is_file():
        raise ModelError(
            f"no model at {text!r}; pass a name ({', '.join(available()) or 'none installed'}), a folder, "
            "or a .safetensors file with its .json config beside it"
        )
    return path, config


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal; little of it is in memory at a time."""
    with path.open("rb") as stream:
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
