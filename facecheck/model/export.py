"""A model as one ONNX file, for other programs; it is held against torch before it gets its name."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facecheck.errors import ModelError
from facecheck.files import write_together

if TYPE_CHECKING:
    from facecheck.model.checkpoint import Model

NEEDS = ("onnx", "onnxruntime", "onnxscript")
OF_WEIGHTS = "facecheck.sha256"
"""The key under which an ONNX file names the weights that it was made of; its config names them too."""
LARGEST_DIFFERENCE = 1e-3
"""Between the logits of torch and of onnxruntime; rounding in another order gives 1e-5."""


def export_onnx(name_or_path: str | os.PathLike[str], target: Path) -> float:
    """Write a model as ONNX, with its config beside it as .json.

    The graph is (N, 3, S, S) float32 "faces", RGB in [0, 1] minus the config's `mean` over its `std` -> (N, 1) float32
    "logits", positive = fake; N is free. `python -m training evaluate FILE.onnx DATA` measures it.

    Returns:
        The largest difference between its logits in onnxruntime and torch's.

    Raises:
        ModelError: no such model, it cannot be exported, or answers otherwise; or the extra is not installed.
    """
    from facecheck.model.checkpoint import load_model

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


def _graph(model: "Model") -> bytes:
    import torch

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


def _difference(model: "Model", data: bytes) -> float:
    """Over batches of noise: one face, and several."""
    import onnxruntime
    import torch

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
