"""The classifier: where models lie, and what stands beside their weights, read and checked without torch."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from facecheck.error_rates import ErrorTable
from facecheck.errors import ModelError
from facecheck.files import sha256_of
from facecheck.model.config import LARGEST_CONFIG_BYTES, ModelConfig
from facecheck.sanitising import shortened

WEIGHTS_DIR = Path(__file__).parents[1] / "weights"
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
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # Too long, or with a NUL.
        raise ModelError(f"no model at {shortened(text)!r}; that is no path") from error
    if is_folder:
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise ModelError(f"folder {shortened(text)!r} holds {len(found)} .safetensors files; name one of them")
        path = found[0]
    elif path.suffix != ".safetensors" and path.name == text:
        path = WEIGHTS_DIR / f"{text}.safetensors"
    config = path.with_suffix(".json")
    if path.suffix != ".safetensors" or not path.is_file() or not config.is_file():
        raise ModelError(
            f"no model at {shortened(text)!r}; pass a name ({', '.join(available()) or 'none installed'}), a folder, "
            "or a .safetensors file with its .json config beside it"
        )
    return path, config


def find_weights(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Path:
    """The .safetensors file that `load_model` would read; its config and its error rates stand beside it.

    Raises:
        ModelError: no such model.
    """
    return model_files(name_or_path)[0]


@dataclass(frozen=True)
class Stored:
    """A model as it lies on the disk: its files belong together, its network is not built.

    Attributes:
        path: of the weights. data: their bytes.
        errors: how often it is wrong; empty where that was not measured on these weights.
    """

    path: Path
    config: ModelConfig
    errors: ErrorTable
    data: bytes = field(repr=False)


def read_model(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Stored:
    """Read a model's files; what `facecheck.model.checkpoint.load_model` says of its arguments and errors holds here.

    Raises:
        ModelError: no such model, or the weights are not those that the config was written for (sha256).
    """
    weights_path, config_path = model_files(name_or_path)
    if config_path.stat().st_size > LARGEST_CONFIG_BYTES:
        raise ModelError(f"{config_path} is {config_path.stat().st_size} bytes; a model config is a small JSON file")
    try:
        config = ModelConfig.from_json(config_path.read_text(encoding="utf-8", errors="replace"))
    except ModelError as error:
        raise ModelError(f"{config_path}: {error}") from error
    data = weights_path.read_bytes()
    digest = sha256_of(data)
    if digest != config.sha256:
        raise ModelError(
            f"{weights_path} has sha256 {digest}, its config expects {config.sha256 or 'none'}; "
            "the file is damaged or belongs to another config: install facecheck again or copy both files together"
        )
    return Stored(weights_path, config, _error_table(weights_path.with_suffix(".errors.json"), digest), data)


def _error_table(path: Path, sha256: str) -> ErrorTable:
    """The table, if it was measured on these very weights."""
    if not path.is_file() or path.stat().st_size > LARGEST_CONFIG_BYTES:
        return ErrorTable()
    try:
        table = ErrorTable.from_json(path.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: {shortened(str(error))}; measure it again, or remove it") from error
    return table if table.sha256 == sha256 else ErrorTable()
