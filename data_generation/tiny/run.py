"""A training run of either stage of facecheck/tiny-faces: checkpoints, the moving average that ships, the log."""

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facecheck.files import write_atomically

Faces = npt.NDArray[np.uint8]
PIPELINE = "tiny-faces"
"""The folder, in that of a run, of the pipeline that it makes."""
REPORT_EVERY = 50


@dataclass(frozen=True)
class RunConfig:
    """What every run has.

    Attributes:
        ema: decay of the moving average of the weights.
    """

    steps: int
    batch: int
    lr: float
    ema: float = 0.999
    seed: int = 0
    save_every: int = 250


C = TypeVar("C", bound=RunConfig)


class Run(Generic[C]):
    """What a kill may interrupt: checkpoints hold all that was learned, and batch k is a function of (seed, k).

    Attributes:
        learned: names of the attributes whose states a checkpoint holds; one of them is `network`.
        checkpoint: where the run resumes from. step: updates done.
    """

    learned: ClassVar[tuple[str, ...]]
    network: Any
    average: dict[str, Tensor]

    def __init__(self, config: C, folder: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.folder, self.step = config, folder, 0
        self.checkpoint = folder / "checkpoint.pt"

    def begin_average(self) -> None:
        """Begin the moving average with the weights as they are."""
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def follow(self) -> None:
        """Count an update, and let the moving average follow."""
        self.step += 1
        # A young average would be that of random weights.
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)

    def save(self) -> None:
        """Write the checkpoint; a kill in between leaves the previous one."""
        content = io.BytesIO()
        state = {name: getattr(self, name).state_dict() for name in self.learned}
        settings = json.dumps(asdict(self.config))
        torch.save(state | {"average": self.average, "step": self.step, "config": settings}, content)
        _write(self.checkpoint, content)

    def resume(self) -> None:
        """Take up the checkpoint of the folder, if there is one.

        Raises:
            ValueError: it was made with other settings.
        """
        if not self.checkpoint.exists():
            return
        device = next(iter(self.average.values())).device
        state = torch.load(self.checkpoint, map_location=device, weights_only=True)
        if json.loads(state["config"]) != asdict(self.config):
            raise ValueError(f"{self.checkpoint} was made with other settings: {state['config']}; use another folder")
        for name in self.learned:
            getattr(self, name).load_state_dict(state[name])
        self.average, self.step = state["average"], state["step"]

    def steps(
        self, log: Callable[[str], object], says: Callable[[], str], export: Callable[[], object]
    ) -> Iterator[None]:
        """A turn for each step that is left; in between it is said how far the work is, saved, and exported."""
        began, first = time.perf_counter(), self.step
        while self.step < self.config.steps:
            yield
            if self.step % REPORT_EVERY == 0:
                speed = (self.step - first) * self.config.batch / (time.perf_counter() - began)
                log(f"step {self.step}/{self.config.steps}  {says()}  {speed:.1f} images/s")
            if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                self.save()
                export()


class Smooth:
    """A number that jumps from step to step, as its log shows it."""

    def __init__(self) -> None:
        self.value = float("nan")

    def add(self, value: float) -> None:
        """Let it follow."""
        self.value = value if np.isnan(self.value) else self.value + 0.02 * (value - self.value)

    def __str__(self) -> str:
        return f"{self.value:.4f}"


def as_tensor(faces: Faces) -> Tensor:
    """(N, S, S, 3) uint8 -> (N, 3, S, S) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def as_faces(pictures: Tensor) -> Faces:
    """The other way round."""
    grey = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(grey.permute(0, 2, 3, 1).cpu().numpy())


def cached(path: Path, make: Callable[[], Faces], side: int, count: int | None = None) -> Faces:
    """(N, side, side, 3) uint8 from `path`, made once.

    Raises:
        ValueError: what is there has another side, or is not `count` faces.
    """
    if not path.exists():
        content = io.BytesIO()
        np.save(content, make())
        _write(path, content)
    faces = np.asarray(np.load(path, allow_pickle=False), dtype=np.uint8)
    if faces.shape[1:] != (side, side, 3) or len(faces) != (len(faces) if count is None else count):
        raise ValueError(f"{path} was made for another run: it holds {faces.shape}; use another folder")
    return faces


def _write(path: Path, content: io.BytesIO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
