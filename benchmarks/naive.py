"""The usual stack: facenet-pytorch's MTCNN at its defaults, torchvision's ResNet50 in eager float32, one at a time.

`python -m benchmarks.naive PHOTO... [--device cuda]` prints a verdict for each. Weights, crop, calibration and verdict
are facecheck's, so that the answers can be compared; faces of less confidence than facecheck reports are dropped before
they cost time.
"""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torchvision.transforms import functional

from facecheck import calibration, crop
from facecheck.model.checkpoint import load_model
from facecheck.result import Box, Face, Prediction, Timing

with warnings.catch_warnings():  # facenet-pytorch changes the warning filters when it is imported.
    from facenet_pytorch import MTCNN

MIN_CONFIDENCE = 0.9
"""What `facecheck.detection.detector.FaceDetector` reports by default."""


class NaiveStack:
    """Pictures -> verdicts, as a first script does it.

    Args:
        device: of both networks, as torch names it.
    """

    def __init__(self, device: str = "cpu") -> None:
        model = load_model()
        self._device, self._config, self._network = device, model.config, model.network.to(device)
        self._detector = MTCNN(keep_all=True, device=device)

    def predict(self, path: Path) -> Prediction:
        """Judge one picture, by the scores alone: no reasons, no landmarks, no provenance."""
        started = time.perf_counter()
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        decoded = time.perf_counter()
        boxes, confidences = self._detected(picture)
        detected = time.perf_counter()
        pixels = np.asarray(picture)
        faces = tuple(
            self._face(pixels, box, float(confidence)) for box, confidence in zip(boxes, confidences, strict=True)
        )
        marks = (started, decoded, detected, time.perf_counter())
        return Prediction(str(path), picture.size, faces, timing_ms=Timing(*(1000 * np.diff(marks)).tolist()))

    def _detected(self, picture: Image.Image) -> tuple[Sequence[Any], Sequence[Any]]:
        try:
            boxes, confidences = self._detector.detect(picture)
        except RuntimeError:  # torch.cat of nothing: one of its stages was left without a box.
            return [], []
        if boxes is None:
            return [], []
        kept = confidences.astype(float) >= MIN_CONFIDENCE
        return boxes[kept], confidences[kept]

    def _face(self, picture: npt.NDArray[np.uint8], box: npt.NDArray[Any], confidence: float) -> Face:
        x0, y0, x1, y1 = (float(value) for value in box)
        corners: Box = (x0, y0, x1, y1)
        face = crop.face(picture, corners, self._config.input_size, self._config.crop_margin)
        tensor = functional.to_tensor(Image.fromarray(face)).to(self._device)
        with torch.no_grad():
            logit = self._network(functional.normalize(tensor, self._config.mean, self._config.std)[None]).item()
        face_px = [max(x1 - x0, y1 - y0)]
        score = float(calibration.p_fake([logit], self._config.decision, face_px)[0])
        return Face(corners, (), confidence, score, calibration.verdict(score, self._config.decision))


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, ...")
def main(photos: Sequence[Path], device: str) -> None:
    """Print the verdict of the usual stack on each photo."""
    stack = NaiveStack(device)
    for photo in photos:
        click.echo(f"{photo}: {stack.predict(photo).verdict}")


if __name__ == "__main__":
    main()
