"""The classifier alone: facecheck's stage, the bare engine below it, and faces to give them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.harness import seconds
from facecheck import crop, image
from facecheck.checker import FaceChecker
from facecheck.engines import BF16, F16, INT8, OPENVINO
from facecheck.engines.classifier import Classifier, converted_network, quantised_of
from facecheck.engines.quantised import load_quantised
from facecheck.engines.runtime import F32, core, openvino
from facecheck.model.checkpoint import model_of
from facecheck.model.config import ModelConfig
from facecheck.model.files import Stored

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
