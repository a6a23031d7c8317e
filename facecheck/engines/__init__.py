"""Engines that run a classifier, all behind one interface; see docs/engines.md."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"
F32, BF16, F16, INT8 = "f32", "bf16", "f16", "int8"
ENGINES = (AUTO, TORCH, OPENVINO)
PRECISIONS = (AUTO, F32, BF16, F16, INT8)


@dataclass(frozen=True)
class Choice:
    """What a classifier runs on; as text "openvino bf16", or "torch f16 on cuda:1".

    Attributes:
        engine, precision: of `ENGINES` and `PRECISIONS`, never "auto". device: as torch names it.
    """

    engine: str
    precision: str
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}" + ("" if is_cpu(self.device) else f" on {self.device}")


def is_cpu(device: str) -> bool:
    """Whether a device's name is one of the CPU's."""
    return device.partition(":")[0] == "cpu"


class Engine(Protocol):
    """A classifier that is ready to run. Engines differ in what computes; safe to use from several threads at once."""

    @property
    def choice(self) -> Choice:
        """What it runs on."""
        ...

    @property
    def workers(self) -> int:
        """How many threads should use it at once for the most faces a second."""
        ...

    def for_workers(self) -> "Engine":
        """The same for that many threads at once; one alone would get its answers later."""
        ...

    def logits(self, faces: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
        """(N, S, S, 3) uint8 RGB faces, as `facecheck.crop.face` cuts them -> (N,) logits, positive = fake."""
        ...
