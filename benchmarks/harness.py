"""What all parts of the benchmark share: both stacks, loaded; rounds; tables and bars.

The usual stack is facenet-pytorch's MTCNN at its defaults and torchvision's ResNet50 in eager float32, one picture at a
time. `python -m benchmarks.harness PHOTO... [--device cuda]` prints its verdict on each. Weights, crop, calibration and
verdict are facecheck's, so that the answers can be compared; faces of less confidence than facecheck reports are
dropped before they cost time.
"""

import gc
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torchvision.transforms import functional

from benchmarks.inputs import Inputs, Settings
from facecheck import calibration, crop
from facecheck.model.checkpoint import load_model
from facecheck.result import Box, Face, Prediction, Timing
from training.evaluation.metrics import table

if TYPE_CHECKING:  # The usual stack starts without it.
    from facecheck.checker import FaceChecker

with warnings.catch_warnings():  # facenet-pytorch changes the warning filters when it is imported.
    from facenet_pytorch import MTCNN

Result = TypeVar("Result")
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


@dataclass(frozen=True)
class Bench:
    """Both sides, loaded, and the pictures; `folder` is for files that a part makes."""

    naive: NaiveStack
    checker: "FaceChecker"
    inputs: Inputs
    settings: Settings
    folder: Path

    @property
    def device(self) -> str:
        """Where the networks of both sides run, as torch names it."""
        return self.checker.classifier.choice.device

    def take_turns(self, contestants: Mapping[str, Callable[[], Result]]) -> dict[str, list[Result]]:
        """`alternating`, with the rounds of the settings."""
        return alternating(contestants, self.settings.rounds, self.settings.uncounted)

    @property
    def options(self) -> list[str]:
        """For a `facecheck` command that shall run on the same."""
        return ["--device", self.device, "--precision", self.checker.classifier.choice.precision]


REST_S = 0.05
"""After a run, until the threads of its pools sleep: they spin for a while and would take time from who comes next."""


def alternating(
    contestants: Mapping[str, Callable[[], Result]], rounds: int, uncounted: int = 1
) -> dict[str, list[Result]]:
    """Let every contestant run once a round, forwards and backwards by turns, after `uncounted` rounds to warm up.

    Returns:
        What each gave in each counted round.
    """
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(1 - uncounted, rounds + 1):
        for name in list(contestants) if number % 2 else reversed(list(contestants)):
            gc.collect()  # Nobody pays for the garbage of another.
            time.sleep(REST_S)
            result = contestants[name]()
            if number > 0:
                results[name].append(result)
    return results


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    """As a plain float."""
    return float(np.median(values))


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as long one takes as the other, by the medians of their rounds."""
    return median(slower) / median(faster)


@dataclass(frozen=True)
class Table:
    """Rows under a title; cells are words or numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]

    def __str__(self) -> str:
        return f"## {self.title}\n\n{table(self.columns, (map(_cell, row) for row in self.rows))}"


@dataclass(frozen=True)
class Bar:
    """What was wanted, and what was measured.

    Attributes:
        at_most: the measured value must not be above the wanted one; else it must not be below.
    """

    what: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """False also for NaN: what was not measured is not reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


@dataclass(frozen=True)
class Part:
    """The raw measurements of one part of the benchmark, which know how to show themselves."""

    def tables(self) -> list[Table]:
        """What a reader sees."""
        raise NotImplementedError

    def bars(self) -> list[Bar]:
        """What is asked of these numbers; empty if nothing is."""
        return []


def table_of(bars: list[Bar]) -> Table:
    """All bars, beside what was measured."""
    rows: list[tuple[object, ...]] = [
        (
            bar.what,
            f"{'<=' if bar.at_most else '>='} {bar.wanted:g}",
            f"{bar.measured:.4g}",
            "reached" if bar.reached else "not reached",
        )
        for bar in bars
    ]
    return Table("Bars", ("what", "wanted", "measured", ""), rows)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


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
