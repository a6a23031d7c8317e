"""All engines and precisions on the same faces: speed, and agreement with torch in float32; faces to give them.

A classifier is timed as facecheck's stage, and as the bare engine below it.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Bar, Bench, Part, Table, median, seconds
from benchmarks.inputs import ALL
from facecheck import calibration, crop, image
from facecheck.batching import WORKER_PICTURES
from facecheck.checker import FaceChecker
from facecheck.engines import BF16, F16, F32, INT8, OPENVINO, TORCH, is_cpu
from facecheck.engines.classifier import Classifier, converted_network, open_classifier, quantised_of
from facecheck.engines.quantised import MAX_AUC_DROP, MIN_AGREEMENT, Loss, load_quantised
from facecheck.engines.runtime import core, openvino
from facecheck.errors import FacecheckError
from facecheck.model import Stored, read_model
from facecheck.model.checkpoint import model_of
from facecheck.model.config import Decision, ModelConfig

Scalar = TypeVar("Scalar", bound=np.generic)
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CutFaces:
    """Faces of pictures, as the classifier takes them.

    Attributes:
        pixels: (N, S, S, 3) uint8 RGB.
        face_px: longer side of each one's box in its picture, pixels.
    """

    pixels: Pixels
    face_px: list[float]


def cut_faces(checker: FaceChecker, paths: Iterable[Path]) -> CutFaces:
    """All faces that the checker's detector finds."""
    size, margin = checker.config.input_size, checker.config.crop_margin
    faces, face_px = [np.empty((0, size, size, 3), np.uint8)], []
    for path in paths:
        picture = image.load(path)
        for box in checker.detector.detect([picture])[0].boxes:
            faces.append(crop.face(picture, box, size, margin)[None])
            face_px.append(float(max(box[2:] - box[:2])))
    return CutFaces(np.concatenate(faces), face_px)


def repeated(faces: Pixels, count: int) -> Pixels:
    """So many faces, the given ones over and over."""
    return np.resize(faces, (count, *faces.shape[1:]))


def batches(faces: npt.NDArray[Scalar], size: int) -> list[npt.NDArray[Scalar]]:
    """Full batches of one size; what is left over is left out, but one batch there is in any case."""
    return [faces[start : start + size] for start in range(0, max(len(faces) - size, 0) + 1, size)]


def stage_runner(classifier: Classifier, faces: Pixels, size: int, pool: ThreadPoolExecutor) -> Callable[[], float]:
    """Seconds a face through `classifier.logits`, called from the threads of the pool with `size` faces at a time."""
    parts = batches(faces, size)
    count = sum(map(len, parts))
    return lambda: seconds(lambda: list(pool.map(classifier.logits, parts))) / count


def bare_runner(stored: Stored, classifier: Classifier, faces: Pixels, size: int) -> Callable[[], float]:
    """Seconds a face through the engine of a classifier with nothing of facecheck around it.

    The engine gets normalised floats in batches of one size that it knows beforehand. OpenVINO has one request for each
    of the classifier's workers, torch one caller.
    """
    engine, precision = classifier.choice.engine, classifier.choice.precision
    parts = batches(_normalised(faces, stored.config), size)
    count = sum(map(len, parts))
    if engine == OPENVINO:
        run = _openvino(stored, precision, parts, classifier.workers)
    else:
        run = _torch(stored, precision, parts, classifier.choice.device)
    return lambda: seconds(run) / count


def _normalised(faces: Pixels, config: ModelConfig) -> Floats:
    """(N, S, S, 3) uint8 -> (N, 3, S, S) float32."""
    scaled = (faces / np.float32(255) - np.array(config.mean)) / np.array(config.std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)


def _openvino(stored: Stored, precision: str, parts: Sequence[Floats], workers: int) -> Callable[[], object]:
    quantised = precision == INT8
    network = load_quantised(stored.path, quantised_of(stored)) if quantised else converted_network(stored)
    network.reshape(list(parts[0].shape))
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": workers}
    settings["INFERENCE_PRECISION_HINT"] = BF16 if precision == BF16 else F32
    queue = openvino().AsyncInferQueue(core().compile_model(network, "CPU", settings), workers)

    def run() -> None:
        for part in parts:
            queue.start_async({0: part})
        queue.wait_all()

    return run


def _torch(stored: Stored, precision: str, parts: Sequence[Floats], device: str) -> Callable[[], object]:
    """The inputs are on the device already."""
    import torch

    kind = {BF16: torch.bfloat16, F16: torch.float16}.get(precision, torch.float32)
    network = model_of(stored).network.to(torch.device(device), kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    tensors = [torch.from_numpy(part).to(device, kind).contiguous(memory_format=torch.channels_last) for part in parts]

    @torch.inference_mode()
    def run() -> None:
        for answer in [network(tensor) for tensor in tensors]:
            answer.cpu()  # A GPU is given work, and only asked for answers, without waiting.

    return run


REFERENCE = (TORCH, F32)
ON_CPU = (REFERENCE, (TORCH, BF16), (OPENVINO, F32), (OPENVINO, BF16), (OPENVINO, INT8))
ON_GPU = (REFERENCE, (TORCH, BF16), (TORCH, F16))


@dataclass(frozen=True)
class Engines(Part):
    """Speed of every engine that runs here, and how far its answers are from the reference's.

    Attributes:
        face_s: seconds a face in each round, by engine, from as many threads as it likes best.
        same_verdicts: share of the faces with the verdict of torch f32, by engine.
        largest_shift: of p_fake against torch f32, by engine.
        missing: why an engine did not take part.
        faces: that verdicts were compared on.
        losses: of int8, as `python -m training quantize` measured them. losses_split: on that split.
    """

    face_s: dict[str, list[float]]
    same_verdicts: dict[str, float]
    largest_shift: dict[str, float]
    missing: dict[str, str]
    faces: int
    losses: tuple[Loss, ...]
    losses_split: str = ""

    def tables(self) -> list[Table]:
        """See `benchmarks.harness.Part`."""
        columns = ("engine", "faces/s", f"same verdicts, {self.faces} faces", "largest shift of p_fake")
        rows: list[tuple[object, ...]] = [
            (name, 1 / median(rounds), f"{self.same_verdicts[name]:.2%}", self.largest_shift[name])
            for name, rounds in self.face_s.items()
        ]
        engines = Table("Engines", columns, [*rows, *((name, why, "", "") for name, why in self.missing.items())])
        return [engines, self._int8()]

    def _int8(self) -> Table:
        columns = ("tier", "pictures", "AUC, float32", "AUC, int8", "same verdicts")
        rows = [(each.tier, each.pictures, each.auc_f32, each.auc_int8, each.agreement) for each in self.losses]
        return Table(f"int8 on the split {self.losses_split}, by `python -m training quantize`", columns, list(rows))

    def bars(self) -> list[Bar]:
        """See `benchmarks.harness.Part`."""
        return [
            bar
            for each in self.losses
            for bar in (
                Bar(f"int8, fall of the AUC, {each.tier}", MAX_AUC_DROP, each.drop, at_most=True),
                Bar(f"int8, same verdicts, {each.tier}", MIN_AGREEMENT, each.agreement),
            )
        ]


def run(bench: Bench) -> Engines:
    """Measure every engine that runs here."""
    classifiers, missing = _opened(bench.device)
    cut = cut_faces(bench.checker, bench.inputs.named(ALL).paths)
    scores = {name: _p_fake(bench.checker, classifier, cut) for name, classifier in classifiers.items()}
    reference, int8 = scores[" ".join(REFERENCE)], quantised_of(read_model())
    return Engines(
        _times(bench, classifiers, cut),
        {name: same_verdicts(reference, found, bench.checker.decision) for name, found in scores.items()},
        {name: float(np.abs(found - reference).max(initial=0)) for name, found in scores.items()},
        missing,
        len(reference),
        int8.losses if int8 else (),
        int8.split if int8 else "",
    )


def _p_fake(checker: FaceChecker, classifier: Classifier, cut: CutFaces) -> calibration.Floats:
    """As a checker on that engine answers: with its second looks."""
    other = copy.copy(checker)
    other.classifier = classifier
    return other.p_fake(cut.pixels, face_px=cut.face_px)


def same_verdicts(first: calibration.Floats, second: calibration.Floats, decision: Decision) -> float:
    """Share of faces with the same verdict, by their p_fake; NaN without faces."""
    same = [
        calibration.verdict(a, decision) == calibration.verdict(b, decision) for a, b in zip(first, second, strict=True)
    ]
    return sum(same) / len(same) if same else float("nan")


def _opened(device: str) -> tuple[dict[str, Classifier], dict[str, str]]:
    stored, classifiers, missing = read_model(), {}, {}
    for engine, precision in ON_CPU if is_cpu(device) else ON_GPU:
        try:
            classifiers[f"{engine} {precision}"] = open_classifier(
                stored, device=device, engine=engine, precision=precision
            )
        except FacecheckError as error:
            missing[f"{engine} {precision}"] = str(error)
    return classifiers, missing


def _times(bench: Bench, classifiers: dict[str, Classifier], cut: CutFaces) -> dict[str, list[float]]:
    faces = repeated(cut.pixels, bench.settings.classified)
    with ExitStack() as pools:
        runners = {
            name: stage_runner(
                several, faces, WORKER_PICTURES, pools.enter_context(ThreadPoolExecutor(several.workers))
            )
            for name, several in ((name, classifier.for_workers()) for name, classifier in classifiers.items())
        }
        return bench.take_turns(runners)
