"""Which engine, precision and device a classifier gets here; see docs/engines.md."""

import glob
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facecheck.engines import AUTO, BF16, ENGINES, F16, F32, INT8, OPENVINO, PRECISIONS, TORCH, Choice, is_cpu
from facecheck.errors import DeviceError
from facecheck.sanitising import shortened

if TYPE_CHECKING:
    from facecheck.engines.quantised import Quantised

# NVIDIA's cards, its Jetsons, Windows' cards in WSL, and AMD's, which torch calls CUDA too.
DRIVERS = ("/dev/nvidia*", "/dev/nvhost-*", "/dev/nvgpu", "/dev/dxg", "/dev/kfd")


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
            raise DeviceError(f"there is no {kind} {shortened(given)!r}; use one of {', '.join(known)}")
    if engine == AUTO:
        engine, device = _engine_for(device, precision)
    if engine == TORCH:
        return _torch(device, precision)
    return _openvino(device, precision, quantised)


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
        from facecheck.engines.torch import devices

        raise DeviceError(f"precision 'f16' needs a CUDA device, here are {devices()}; use 'f32' or 'bf16' on the CPU")
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
