"""The classifier in memory: loaded and saved with everything that must stand beside its weights; as ONNX for others.

A model is a folder or a pair of files: `NAME.safetensors` and `NAME.json`, the `ModelConfig`. What inference needs to
know about the model lives in that config, nowhere in code. Nothing is ever unpickled.
"""

import dataclasses
import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn

from facecheck.error_rates import ErrorTable
from facecheck.errors import ModelError
from facecheck.files import sha256_of, write_together
from facecheck.model import DEFAULT_MODEL, Stored, read_model
from facecheck.model.architectures import build
from facecheck.model.config import ModelConfig

if hasattr(os, "register_at_fork"):
    # A forked child has none of torch's threads and would wait for them for ever; torch's own loaders do the same.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
NEEDS = ("onnx", "onnxruntime", "onnxscript")
OF_WEIGHTS = "facecheck.sha256"
"""The key under which an ONNX file names the weights that it was made of; its config names them too."""
LARGEST_DIFFERENCE = 1e-3
"""Between the logits of torch and of onnxruntime; rounding in another order gives 1e-5."""


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


def export_onnx(name_or_path: str | os.PathLike[str], target: Path) -> float:
    """Write a model as ONNX, with its config beside it as .json.

    The graph is (N, 3, S, S) float32 "faces", RGB in [0, 1] minus the config's `mean` over its `std` -> (N, 1) float32
    "logits", positive = fake; N is free. `python -m training evaluate FILE.onnx DATA` measures it.

    Returns:
        The largest difference between its logits in onnxruntime and torch's.

    Raises:
        ModelError: no such model, it cannot be exported, or answers otherwise; or the extra is not installed.
    """
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        raise ModelError(f'export needs {", ".join(missing)}: pip install "facecheck[export]"')
    model = load_model(name_or_path)
    config = model.config.to_json().encode()
    beside = target.with_suffix(".json")
    if target.with_suffix(".safetensors").exists() and beside.exists() and beside.read_bytes() != config:
        raise ModelError(f"{beside} is the config of another model; give the file another name")
    data = _graph(model)
    difference = _difference(model, data)
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelError(f"onnxruntime gives other logits than torch, by {difference:.2g}; nothing was written")
    write_together({beside: config, target: data})
    return difference


def _graph(model: Model) -> bytes:
    side = model.config.input_size
    try:
        program: Any = torch.onnx.export(
            model.network,
            (torch.zeros(2, 3, side, side),),
            input_names=["faces"],
            output_names=["logits"],
            dynamic_shapes=({0: "N"},),
            dynamo=True,
            verbose=False,
        )
    except Exception as error:  # Of a dozen kinds without a base class of their own.
        why = str(error).strip().partition("\n")[0]
        raise ModelError(f"architecture {model.config.architecture!r} cannot be exported: {why}") from error
    made = program.model_proto
    for node in made.graph.node:
        del node.metadata_props[:]  # Stack traces, with the paths of this machine.
    made.metadata_props.add(key=OF_WEIGHTS, value=model.config.sha256)
    return bytes(made.SerializeToString())


def _difference(model: Model, data: bytes) -> float:
    """Over batches of noise: one face, and several."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng, side = np.random.default_rng(0), model.config.input_size
    worst = 0.0
    for count in (1, 3):
        faces: npt.NDArray[np.float32] = rng.normal(size=(count, 3, side, side)).astype(np.float32)
        with torch.inference_mode():
            wanted = model.network(torch.from_numpy(faces)).numpy()
        (found,) = session.run(None, {"faces": faces})
        worst = max(worst, float(np.abs(found - wanted).max()))
    return worst
