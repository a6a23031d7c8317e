"""Engines that run a classifier, all behind one interface, and the choice among them; see docs/engines.md."""

import glob
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facecheck.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from facecheck.engines.quantised import Quantised

AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"
F32, BF16, F16, INT8 = "f32", "bf16", "f16", "int8"
ENGINES = (AUTO, TORCH, OPENVINO)
PRECISIONS = (AUTO, F32, BF16, F16, INT8)
# NVIDIA's cards, its Jetsons, Windows' cards in WSL, and AMD's, which torch calls CUDA too.
DRIVERS = ("/dev/nvidia*", "/dev/nvhost-*", "/dev/nvgpu", "/dev/dxg", "/dev/kfd")


class Backend(Protocol):
    """A loaded classifier on a device. Safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """Engine, precision and, if it is not the CPU, device: "openvino bf16", "torch f32 on cuda"."""
        ...

    @property
    def engine(self) -> str:
        """One of `ENGINES`, never "auto"."""
        ...

    @property
    def device(self) -> str:
        """As torch names it: "cpu", "cuda:1"."""
        ...

    @property
    def lanes(self) -> int:
        """How many threads should use it at once for the most faces a second."""
        ...

    def side_by_side(self) -> "Backend":
        """The same for that many threads at once; one alone would get its answers later."""
        ...

    def logits(self, faces: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
        """(N, S, S, 3) uint8 RGB faces, as `facecheck.crop.face` cuts them -> (N,) logits, positive = fake."""
        ...

    @property
    def margin(self) -> float:
        """How far, in logits, an answer may be from that of float32; 0 where it is as good as that."""
        ...

    def second_look(self, faces: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
        """As `logits`, but in float32: for answers that lie closer to a border than `margin`."""
        ...

    def last_features(
        self, faces: "npt.NDArray[np.uint8]"
    ) -> "tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]":
        """(N, S, S, 3) uint8 RGB -> features of the last stage and gradients of the logits: (N, C, H, W) each.

        Raises:
            NoFeatureMapError: that stage gives no map of features.
        """
        ...


@dataclass(frozen=True)
class Choice:
    """What a classifier runs on. The device is as torch names it; "auto" is left to torch."""

    engine: str
    precision: str
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}" + ("" if is_cpu(self.device) else f" on {self.device}")


def choose(
    device: str = AUTO, engine: str = AUTO, precision: str = AUTO, quantised: "Quantised | None" = None
) -> Choice:
    """Choose what a classifier runs on; where everything is "auto", without importing torch if OpenVINO will do.

    Args:
        device: "auto", or as torch names it. engine: one of `ENGINES`. precision: one of `PRECISIONS`.
        quantised: the measured losses of the model in int8, if there is such a model.

    Raises:
        DeviceError: no such engine or precision, not installed, or they do not go together.
    """
    for kind, given, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if given not in known:
            raise DeviceError(f"there is no {kind} {given!r}; use one of {', '.join(known)}")
    if engine == AUTO:
        engine, device = _engine_for(device, precision)
    if engine == TORCH:
        return _torch(device, precision)
    return _openvino(device, precision, quantised)


def is_cpu(device: str) -> bool:
    """Whether a device's name is one of the CPU's."""
    return device.partition(":")[0] == "cpu"


def cuda_possible() -> bool:
    """Whether a driver of a graphics card can be seen; torch knows better, but its import takes seconds."""
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll").is_file()
    return any(glob.glob(pattern) for pattern in DRIVERS) or shutil.which("nvidia-smi") is not None


def _engine_for(device: str, precision: str) -> tuple[str, str]:
    """OpenVINO on the CPU where it is installed and nothing speaks against it."""
    from facecheck.engines.runtime import installed

    if device == AUTO and cuda_possible():
        from facecheck.engines.torch import pick_device

        device = str(pick_device(AUTO))
    fits = precision == INT8 or (precision != F16 and installed())
    return (OPENVINO, "cpu") if fits and (device == AUTO or is_cpu(device)) else (TORCH, device)


def _torch(device: str, precision: str) -> Choice:
    if precision == INT8:
        raise DeviceError("precision 'int8' needs engine 'openvino' on the CPU")
    if device == AUTO:
        from facecheck.engines.torch import pick_device

        device = str(pick_device(AUTO))
    if precision == F16 and is_cpu(device):
        raise DeviceError("precision 'f16' needs a CUDA device; use 'f32' or 'bf16' on the CPU")
    return Choice(TORCH, F32 if precision == AUTO else precision, device)


def _openvino(device: str, precision: str, quantised: "Quantised | None") -> Choice:
    from facecheck.engines.runtime import fastest_precision

    if not (device == AUTO or is_cpu(device)):
        raise DeviceError(f"engine 'openvino' runs on the CPU, not on {device!r}; use device 'cpu' or engine 'torch'")
    fastest = fastest_precision()
    if precision == F16 or (precision == BF16 and fastest != BF16):
        raise DeviceError(f"OpenVINO does not compute in {precision!r} on this processor; use 'auto' or 'f32'")
    if precision == AUTO:
        precision = INT8 if quantised is not None and quantised.is_faithful else fastest
    return Choice(OPENVINO, precision)
