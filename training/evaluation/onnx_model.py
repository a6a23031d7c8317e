"""An ONNX file in the place of the network, so that it passes the same detection, crop, calibration and verdict."""

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from facecheck.errors import ModelError
from facecheck.model.checkpoint import Model
from facecheck.model.config import ModelConfig


class OnnxNetwork(nn.Module):
    """Runs an ONNX graph on the CPU: (N, 3, S, S) float32, normalised -> (N, 1) logits, positive = fake."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise ValueError(f"{len(inputs)} inputs ({inputs[0].type}) and {len(outputs)} outputs")
        self._input = inputs[0].name

    def forward(self, faces: Tensor) -> Tensor:
        """The logits of one batch."""
        (logits,) = self._session.run(None, {self._input: faces.contiguous().numpy()})
        return torch.from_numpy(logits).reshape(len(faces), 1)


def load_onnx(path: Path) -> Model:
    """The model of a self-contained .onnx file whose `ModelConfig` stands beside it as .json.

    The config's sha256 is replaced by that of the .onnx file, because that is what is judged. CPU only.

    Raises:
        ModelError: a file is missing, or the graph is not one float32 batch in, one logit a face out.
    """
    config_path = path.with_suffix(".json")
    if not path.is_file() or not config_path.is_file():
        raise ModelError(f"no model at {path}; an .onnx file needs its .json config beside it")
    data = path.read_bytes()
    config = ModelConfig.from_json(config_path.read_text(encoding="utf-8", errors="replace"))
    try:
        network = OnnxNetwork(data).eval()
        network(torch.zeros(2, 3, config.input_size, config.input_size))
    except Exception as error:  # onnxruntime's errors have no base class of their own.
        raise ModelError(f"{path} is not a classifier of faces with a free batch size: {error}") from error
    return Model(network, replace(config, sha256=hashlib.sha256(data).hexdigest()))
