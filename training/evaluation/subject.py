"""What is evaluated: the default model, a checkpoint, an ONNX file, or scores that were made elsewhere."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facecheck.checker import FaceChecker
from facecheck.model.files import DEFAULT_MODEL
from training.data import FaceFile
from training.evaluation.evaluate import score_tiers
from training.evaluation.onnx_model import load_onnx
from training.evaluation.robustness import CurvePoint
from training.evaluation.scores import Scores, is_scores, read_scores


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
    checker = FaceChecker(load_onnx(Path(model)) if is_onnx else name, device, engine=engine, precision=precision)
    if threshold is not None:
        checker.decision = replace(
            checker.decision, threshold=threshold, uncertain_from=threshold, uncertain_to=threshold
        )
        checker.config = replace(checker.config, decision=checker.decision)
    return checker
