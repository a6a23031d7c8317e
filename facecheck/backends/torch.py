"""The reference engine: PyTorch in float32 on the CPU or on CUDA."""

import copy

import numpy as np
import numpy.typing as npt
import torch

from facecheck.errors import DeviceError
from facecheck.models import Model

LARGEST_BATCH = 32


def pick_device(device: str) -> torch.device:
    """Resolve "auto" to CUDA where there is one and to the CPU elsewhere; other names are torch's.

    Raises:
        DeviceError: no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(
            f"device {device!r} is not available ({str(error).splitlines()[0]}); use 'auto', 'cpu' or 'cuda'"
        ) from error
    return chosen


class TorchBackend:
    """See `facecheck.backends.Backend`."""

    def __init__(self, model: Model, device: torch.device) -> None:
        self.device = device
        # Module.to moves in place: the caller's model, or another checker's, must stay where it is.
        network = model.network if device.type == "cpu" else copy.deepcopy(model.network)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean = torch.tensor(model.config.mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(model.config.std, device=device).view(1, 3, 1, 1) * 255

    @torch.inference_mode()
    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, S, S, 3) uint8 RGB -> (N,) float32; positive = fake."""
        parts = [self._batch(faces[start : start + LARGEST_BATCH]) for start in range(0, len(faces), LARGEST_BATCH)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _batch(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        pixels = torch.from_numpy(faces).to(self.device).permute(0, 3, 1, 2).float()
        pixels = ((pixels - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        return np.asarray(self._network(pixels).squeeze(1).float().cpu().numpy())
