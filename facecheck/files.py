"""Where models lie and how files are written; light, so that a command that needs no network loads none."""

import os
from pathlib import Path

from facecheck.errors import ModelError

WEIGHTS_DIR = Path(__file__).parent / "weights"
DEFAULT_MODEL = "facecheck-resnet50"


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
