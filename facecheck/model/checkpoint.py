"""The classifier and everything that must stand beside its weights.

A model is a folder or a pair of files: `NAME.safetensors` and `NAME.json`, the `ModelConfig`. What inference needs to
know about the model lives in that config, nowhere in code. Nothing is ever unpickled.
"""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn

from facecheck.error_rates import ErrorTable
from facecheck.errors import ModelError
from facecheck.files import sha256_of, write_together
from facecheck.model.architectures import build
from facecheck.model.config import ModelConfig
from facecheck.model.files import DEFAULT_MODEL, Stored, read_model

if hasattr(os, "register_at_fork"):
    # A forked child has none of torch's threads and would wait for them for ever; torch's own loaders do the same.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, on the CPU in float32, its config, and its error rates where they were measured."""

    network: nn.Module
    config: ModelConfig
    errors: ErrorTable = field(default_factory=ErrorTable)


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
    return model_of(read_model(name_or_path))


def model_of(stored: Stored) -> Model:
    """The model whose files were read already.

    Raises:
        ModelError: the file is damaged, or does not fit the architecture.
    """
    try:
        tensors = load_tensors(stored.data)
    except SafetensorError as error:
        raise ModelError(f"{stored.path} is not a readable safetensors file: {error}") from error
    if broken := [name for name, tensor in tensors.items() if not _is_finite(tensor)]:
        raise ModelError(
            f"{stored.path}: {broken[0]} holds numbers that are not finite; train or fetch the model again"
        )
    architecture = stored.config.architecture
    try:
        network = _filled(architecture, {name: _widened(tensor) for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"{stored.path} does not fit architecture {architecture!r}: {error}") from error
    return Model(network.eval(), stored.config, stored.errors)


def _filled(architecture: str, tensors: dict[str, Tensor]) -> nn.Module:
    with torch.device("meta"):  # No time and memory for random weights that are replaced at once.
        network = build(architecture)
    network.load_state_dict(tensors, assign=True)
    if any(buffer.is_meta for buffer in network.buffers()):  # Computed when built, and in no file.
        network = build(architecture)
        network.load_state_dict(tensors, assign=True)
    return network


def save_model(network: nn.Module, config: ModelConfig, folder: str | os.PathLike[str]) -> Path:
    """Write `config.name`.safetensors (matrices and kernels in float16, the rest as is) and its .json, atomically.

    Returns:
        The path of the weights; their sha256 is in the config file.
    """
    tensors = {name: _narrowed(tensor) for name, tensor in network.state_dict().items()}
    data = dump_tensors(tensors)
    config = dataclasses.replace(config, sha256=sha256_of(data))
    target = Path(folder) / f"{config.name}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_together({target: data, target.with_suffix(".json"): config.to_json().encode()})
    return target


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _narrowed(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor
