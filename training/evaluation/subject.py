"""What is evaluated: the default model, a checkpoint, an ONNX file, or scores that were made elsewhere."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from facecheck.checker import FaceChecker
from facecheck.errors import ModelError
from facecheck.model.checkpoint import Model
from facecheck.model.config import ModelConfig
from facecheck.model.files import DEFAULT_MODEL
from training.data import FaceFile
from training.evaluation.corruptions import CurvePoint
from training.evaluation.scores import Scores, is_scores, read_scores
from training.evaluation.scoring import score_tiers


@dataclass(frozen=True)
class Subject:
    """What was judged. `version` and `sha256` (of the weights) are empty for scores of another detector."""

    name: str
    version: str = ""
    sha256: str = ""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".strip()

    @property
    def slug(self) -> str:
        """A name for the report's folder."""
        return "-".join(self.title.split())


@dataclass(frozen=True)
class Judged:
    """A subject and its scores.

    Attributes:
        checker: None where there is no model, only scores. curves: of an earlier report.
    """

    subject: Subject
    scores: Scores
    checker: FaceChecker | None = None
    curves: tuple[CurvePoint, ...] = ()


def judge(
    model: str,
    rows: Sequence[FaceFile],
    root: Path,
    tiers: Sequence[str],
    threshold: float | None,
    device: str = "auto",
    engine: str = "torch",
    precision: str = "auto",
) -> Judged:
    """Score `rows` with whatever `model` names; see `load_checker` and `read_judged`.

    Args:
        root: folder of the manifest. tiers: for models; scores keep the tiers that they have.
        threshold: in place of the shipped one, or of the one in the scores.
        device, engine, precision: as in `FaceChecker`, but torch in f32 unless another engine is the question.

    Raises:
        ModelError, DeviceError: the model. ValueError: the scores.
    """
    if is_scores(Path(model)):
        return read_judged(Path(model), rows, root, threshold)
    checker = load_checker(model, threshold, device, engine, precision)
    config = checker.config
    return Judged(Subject(config.name, config.version, config.sha256), score_tiers(checker, rows, root, tiers), checker)


def read_judged(
    path: Path, rows: Sequence[FaceFile] | None = None, root: Path = Path(), threshold: float | None = None
) -> Judged:
    """Scores from files, as `scores.read_scores` reads them; an earlier report also has its subject and its curves.

    Other scores are named after their file or folder.
    """
    folder = path if path.is_dir() else path.parent
    report = folder / "report.json"
    scores = read_scores(path, rows, root, threshold)
    if report.is_file() and path in (folder, folder / "scores.csv"):
        earlier = json.loads(report.read_text(encoding="utf-8"))
        curves = tuple(CurvePoint(**point) for point in earlier["curves"]) if threshold is None else ()
        return Judged(Subject(**earlier["subject"]), scores, curves=curves)
    return Judged(Subject(folder.resolve().name if path.is_dir() or path.stem == "scores" else path.stem), scores)


def load_checker(
    model: str, threshold: float | None = None, device: str = "auto", engine: str = "torch", precision: str = "auto"
) -> FaceChecker:
    """The pipeline around a model: "default", a name, a folder, a .safetensors file or an .onnx file.

    Args:
        threshold: in place of the shipped one; then nothing is uncertain for lying near to it.
        device, engine, precision: see `judge`; an .onnx file runs on the CPU, by onnxruntime, whatever they are.

    Raises:
        ModelError, DeviceError.
    """
    is_onnx = model.endswith(".onnx")
    name = DEFAULT_MODEL if model == "default" else model
    if is_onnx:
        device, engine, precision = "cpu", "torch", "f32"
    checker = FaceChecker(
        load_onnx(Path(model)) if is_onnx else name, device=device, engine=engine, precision=precision
    )
    if threshold is not None:
        checker.decision = replace(
            checker.decision, threshold=threshold, uncertain_from=threshold, uncertain_to=threshold
        )
        checker.config = replace(checker.config, decision=checker.decision)
    return checker


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
