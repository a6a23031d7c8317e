"""The classifier and everything that must stand beside its weights.

A model is a folder or a pair of files: `NAME.safetensors` and `NAME.json`, the `ModelConfig`. What inference needs to
know about the model lives in that config, nowhere in code. Nothing is ever unpickled.
"""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn

from facecheck.architectures import ARCHITECTURES, IMAGENET_MEAN, IMAGENET_STD, Channels, build
from facecheck.calibration import Decision
from facecheck.errors import ModelError
from facecheck.evidence.error_rates import ErrorTable
from facecheck.files import DEFAULT_MODEL, WEIGHTS_DIR, available, model_files, write_atomically

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_MODEL",
    "WEIGHTS_DIR",
    "Limits",
    "Model",
    "ModelConfig",
    "available",
    "build",
    "find_weights",
    "load_model",
    "save_model",
    "write_atomically",
]

LARGEST_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Beyond these the measured error is not acceptable and the answer is `uncertain`; units: `facecheck.quality`."""

    min_face_px: float = 0.0
    min_sharpness: float = 0.0
    max_blockiness: float = 1e9
    max_outside: float = 1.0


@dataclass(frozen=True)
class ModelConfig:
    """Everything a checkpoint needs at inference.

    Attributes:
        input_size: side of the square input, pixels.
        crop_margin: side of the crop as a multiple of the longer side of the face box.
        mean, std: per RGB channel, for pixels in [0, 1].
        classes: what logits below and above zero speak for.
        sha256: of the .safetensors file; empty only while a model is being made.
    """

    name: str
    version: str
    architecture: str = "resnet50"
    input_size: int = 224
    crop_margin: float = 1.3
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    classes: tuple[str, str] = ("real", "fake")
    decision: Decision = field(default_factory=Decision)
    limits: Limits = field(default_factory=Limits)
    licence: str = ""
    training_data: tuple[str, ...] = ()
    sha256: str = ""

    def to_json(self) -> str:
        """The config as JSON text, keys in the order of the fields."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The config that `to_json` wrote.

        Raises:
            ModelError: not JSON, a field unknown, missing or of the wrong kind.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            for key in ("mean", "std", "classes", "training_data"):
                if key in values:
                    values[key] = tuple(values[key])
            values["decision"] = Decision.from_dict(values.get("decision", {}))
            values["limits"] = Limits(**values.get("limits", {}))
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"not a facecheck model config: {error}; expected the JSON that ModelConfig.to_json writes"
            ) from error


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, on the CPU in float32, its config, and its error rates where they were measured."""

    network: nn.Module
    config: ModelConfig
    errors: ErrorTable = field(default_factory=ErrorTable)


def find_weights(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Path:
    """The .safetensors file that `load_model` would read; its config and its error rates stand beside it.

    Raises:
        ModelError: no such model.
    """
    return model_files(name_or_path)[0]


def load_model(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Model:
    """Load a classifier by the name of a model that ships in the package, or by path.

    Args:
        name_or_path: "facecheck-resnet50", a folder with one model, or a .safetensors file with its .json beside it.

    Returns:
        The network in evaluation mode, float32, CPU, with its config.

    Raises:
        ModelError: no such model; the file is damaged, is not the one that the config was written for (sha256), or does
            not fit the architecture.
    """
    weights_path, config_path = model_files(name_or_path)
    if config_path.stat().st_size > LARGEST_CONFIG_BYTES:
        raise ModelError(f"{config_path} is {config_path.stat().st_size} bytes; a model config is a small JSON file")
    config = ModelConfig.from_json(config_path.read_text(encoding="utf-8", errors="replace"))
    data = weights_path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != config.sha256:
        raise ModelError(
            f"{weights_path} has sha256 {digest}, its config expects {config.sha256 or 'none'}; "
            "the file is damaged or belongs to another config: install facecheck again or copy both files together"
        )
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise ModelError(f"{weights_path} is not a readable safetensors file: {error}") from error
    try:
        network = _filled(config.architecture, {name: _widened(tensor) for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"{weights_path} does not fit architecture {config.architecture!r}: {error}") from error
    return Model(network.eval(), config, _error_table(weights_path.with_suffix(".errors.json"), digest))


def _error_table(path: Path, sha256: str) -> ErrorTable:
    """The table, if it was measured on these very weights."""
    if not path.is_file() or path.stat().st_size > LARGEST_CONFIG_BYTES:
        return ErrorTable()
    try:
        table = ErrorTable.from_json(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        raise ModelError(f"{path}: {error}; measure it again, or remove it") from error
    return table if table.sha256 == sha256 else ErrorTable()


def _filled(architecture: str, tensors: dict[str, Tensor]) -> nn.Module:
    with torch.device("meta"):  # No time and memory for random weights that are replaced at once.
        network = build(architecture)
    network.load_state_dict(tensors, assign=True)
    if any(buffer.is_meta for buffer in network.buffers()):  # Computed when built, and in no file.
        network = build(architecture)
        network.load_state_dict(tensors, assign=True)
    return network


def save_model(network: nn.Module, config: ModelConfig, folder: str | os.PathLike[str]) -> Path:
    """Write `config.name`.safetensors (matrices and kernels in float16, the rest as is) and its .json, each atomically.

    Returns:
        The path of the weights; their sha256 is in the config file.
    """
    tensors = {name: _narrowed(tensor) for name, tensor in network.state_dict().items()}
    data = dump_tensors(tensors)
    config = dataclasses.replace(config, sha256=hashlib.sha256(data).hexdigest())
    target = Path(folder) / f"{config.name}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, data)
    write_atomically(target.with_suffix(".json"), config.to_json().encode())
    return target


def _narrowed(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor
