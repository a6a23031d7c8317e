"""What is evaluated: a model by name, version or path, an ONNX file, or scores that were made elsewhere."""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from facecheck.checker import FaceChecker
from facecheck.errors import ModelError
from facecheck.files import cache_folder, sha256_of, write_atomically
from facecheck.model import DEFAULT_MODEL, WEIGHTS_DIR, read_model
from facecheck.model.checkpoint import OF_WEIGHTS, Model, load_model
from facecheck.model.config import ModelConfig
from training.crossfit import Judges, decide, judges_of
from training.data import FaceFile
from training.evaluation.corruptions import CurvePoint
from training.evaluation.observations import observe
from training.evaluation.scores import Scores, is_scores, read_scores, score_tiers

VERSION = re.compile(r"\d+\.\d+\.\d+")


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
        config: None where there is no model, only scores. curves: of an earlier report.
        crossfitted: whether each file was judged by a decision that was fitted on other sources only.
        split: of an earlier report; empty where it is not known.
    """

    subject: Subject
    scores: Scores
    config: ModelConfig | None = None
    curves: tuple[CurvePoint, ...] = ()
    crossfitted: bool = False
    split: str = ""

    def learned_from(self) -> tuple[str, ...]:
        """The sources of the scores, as "label/source", that the model was trained on."""
        known = self.config.training_data if self.config else ()
        return tuple(sorted(set(known) & set(self.scores.strata.tolist())))


@dataclass(frozen=True)
class How:
    """What computes the scores of a model.

    Attributes:
        threshold: in place of the shipped one, or of the one in the scores; then nothing is uncertain for lying near.
        device, engine, precision: as in `FaceChecker`, but torch in f32 unless another engine is the question; an .onnx
            file runs on the CPU, by onnxruntime, whatever they are.
        cache: folder of the observations, see `training.evaluation.observations.observe`.
    """

    threshold: float | None = None
    device: str = "auto"
    engine: str = "torch"
    precision: str = "auto"
    cache: Path | None = None


def judge(model: str, rows: Sequence[FaceFile], root: Path, tiers: Sequence[str], how: How | None = None) -> Judged:
    """Score `rows`, a whole split, with whatever `model` names; see `load_subject` and `read_judged`.

    A model whose decision was fitted on this very split is judged across halves of its sources, as in
    `training.crossfit`.

    Args:
        root: folder of the manifest. tiers: for models; scores keep the tiers that they have.

    Raises:
        ModelError, DeviceError: the model. ValueError: the scores.
    """
    how = how or How()
    if is_scores(Path(model)):
        return read_judged(Path(model), rows, root, how.threshold)
    loaded = load_subject(model, how.threshold)
    config = loaded.config
    subject = Subject(config.name, config.version, config.sha256)
    if how.engine != "torch" and not model.endswith(".onnx"):
        return Judged(subject, score_tiers(load_checker(model, how), rows, root, tiers), config)
    device = "cpu" if model.endswith(".onnx") else how.device
    judges = judges_of(loaded, rows, how.cache, device) if how.threshold is None else Judges.one(config.decision, rows)
    observed = observe(loaded, rows, tiers, how.cache, device)
    return Judged(subject, decide(observed, judges, config.limits, root), config, crossfitted=judges.crossfitted)


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
        crossfitted = bool(earlier.get("crossfitted")) and threshold is None
        split = str(earlier.get("split", ""))
        return Judged(Subject(**earlier["subject"]), scores, curves=curves, crossfitted=crossfitted, split=split)
    return Judged(Subject(folder.resolve().name if path.is_dir() or path.stem == "scores" else path.stem), scores)


def load_subject(model: str, threshold: float | None = None) -> Model:
    """A model by "default", a name, a version such as "0.2.0", a folder, a .safetensors or an .onnx file.

    Args:
        threshold: in place of the shipped one; then nothing is uncertain for lying near to it.

    Raises:
        ModelError.
    """
    name: str | Path = DEFAULT_MODEL if model == "default" else model
    if VERSION.fullmatch(model) and not Path(model).exists():
        name = shipped(model)
    loaded = load_onnx(Path(model)) if model.endswith(".onnx") else load_model(name)
    if threshold is None:
        return loaded
    forced = replace(loaded.config.decision, threshold=threshold, uncertain_from=threshold, uncertain_to=threshold)
    return replace(loaded, config=replace(loaded.config, decision=forced))


def load_checker(model: str, how: How | None = None) -> FaceChecker:
    """The pipeline around `load_subject`.

    Raises:
        ModelError, DeviceError.
    """
    how = how or How()
    loaded = load_subject(model, how.threshold)
    if model.endswith(".onnx"):
        return FaceChecker(loaded, device="cpu", engine="torch", precision="f32")
    return FaceChecker(loaded, device=how.device, engine=how.engine, precision=how.precision)


def shipped(version: str) -> Path:
    """The default model as it stood in the package at a version: the present one, or one from this checkout's history.

    Returns:
        Its .safetensors, in facecheck's cache if it is an earlier one.

    Raises:
        ModelError: no such version, or this is no checkout.
    """
    if read_model(DEFAULT_MODEL).config.version == version:
        return WEIGHTS_DIR / f"{DEFAULT_MODEL}.safetensors"
    folder = cache_folder() / "models" / version
    weights = folder / f"{DEFAULT_MODEL}.safetensors"
    if not weights.is_file():
        commit = _commit_of(version)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".json", ".safetensors"):  # The weights come last: with them the model is complete.
            write_atomically(weights.with_suffix(suffix), _git("show", f"{commit}:./{DEFAULT_MODEL}{suffix}"))
    return weights


def _commit_of(version: str) -> str:
    """The last commit whose default model has this version."""
    config = f"{DEFAULT_MODEL}.json"
    try:
        commits = _git("log", "--format=%H", "--", config).decode().split()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ModelError(
            f"model {version} is not installed, and {WEIGHTS_DIR} is no git checkout to find it in"
        ) from error
    found = set()
    for commit in commits:
        try:
            known = str(json.loads(_git("show", f"{commit}:./{config}"))["version"])
        except (subprocess.CalledProcessError, ValueError, KeyError):
            continue
        if known == version:
            return commit
        found.add(known)
    raise ModelError(f"no model {version} in the history of this checkout; there are {', '.join(sorted(found))}")


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=WEIGHTS_DIR, check=True, capture_output=True).stdout


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
        self.of_weights = self._session.get_modelmeta().custom_metadata_map.get(OF_WEIGHTS, "")

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
    if network.of_weights not in ("", config.sha256):
        raise ModelError(f"{config_path} is the config of other weights than {path} was made of; export it again")
    return Model(network, replace(config, sha256=sha256_of(data)))
