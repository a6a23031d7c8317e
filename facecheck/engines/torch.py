"""The reference engine: PyTorch in float32, or in fewer bits, on the CPU or on CUDA."""

import copy
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from facecheck.engines import BF16, F16, F32, TORCH, Choice
from facecheck.engines.runtime import best_workers
from facecheck.errors import DeviceError, NoFeatureMapError
from facecheck.model.architectures import architecture, stages
from facecheck.model.checkpoint import Model
from facecheck.sanitising import shortened

LARGEST_BATCH = 32
AUTOCAST = {BF16: torch.bfloat16, F16: torch.float16}


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
        why = shortened(str(error).splitlines()[0])
        raise DeviceError(
            f"device {shortened(device)!r} is not available ({why}); use 'auto', or what is here: {devices()}"
        ) from error
    return chosen


def devices() -> str:
    """What `pick_device` takes on this machine, for messages."""
    cuda = [f"'cuda:{number}' ({torch.cuda.get_device_name(number)})" for number in range(torch.cuda.device_count())]
    return " and ".join(["'cpu'", *cuda])


class TorchEngine:
    """See `facecheck.engines.Engine`.

    Args:
        precision: "f32", the reference; "bf16", on the CPU with a copy of the network, on CUDA by autocast; "f16" on
            CUDA.
    """

    def __init__(self, model: Model, device: torch.device, precision: str = F32) -> None:
        self.choice = Choice(TORCH, precision, str(device))
        self._device, self._precision = device, precision
        # While the network runs for one worker, another decodes. A GPU waits for what all processors decode and cut.
        self.workers = 2 if device.type == "cpu" else max(2, best_workers())
        self._architecture = model.config.architecture
        self._type = torch.bfloat16 if precision == BF16 and device.type == "cpu" else torch.float32
        # Module.to changes in place: the caller's model, or another checker's, must stay as it is.
        shared = device.type == "cpu" and self._type == torch.float32
        network = model.network if shared else copy.deepcopy(model.network)
        self._network = network.to(device, self._type, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean = torch.tensor(model.config.mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(model.config.std, device=device).view(1, 3, 1, 1) * 255

    def for_workers(self) -> "TorchEngine":
        """See `facecheck.engines.Engine`: torch's own threads serve whoever calls."""
        return self

    @torch.inference_mode()
    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, S, S, 3) uint8 RGB -> (N,) float32; positive = fake."""
        parts = [self._batch(faces[start : start + LARGEST_BATCH]) for start in range(0, len(faces), LARGEST_BATCH)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def last_features(self, faces: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What the last stage before the head gives, and how the logit depends on it.

        Args:
            faces: (N, S, S, 3) uint8 RGB.

        Returns:
            features, gradients of the logits: (N, C, H, W) float32 each.

        Raises:
            NoFeatureMapError: that stage gives no map of features.
        """
        parts = [self._features(faces[start : start + LARGEST_BATCH]) for start in range(0, len(faces), LARGEST_BATCH)]
        features, gradients = zip(*parts, strict=True)
        return np.concatenate(features), np.concatenate(gradients)

    def _features(self, faces: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        kept: list[Any] = []
        mine = threading.get_ident()

        def keep(_: torch.nn.Module, __: Any, output: Any) -> None:
            if threading.get_ident() == mine:  # Other threads use the same network.
                kept.append(output)

        known = architecture(self._architecture)
        stage = known.map or stages(self._network, known.head)[-1]
        hook = self._network.get_submodule(stage).register_forward_hook(keep)
        try:
            with torch.enable_grad(), self._autocast():
                logits = self._network(self._normalised(faces).requires_grad_())
        finally:
            hook.remove()
        if len(kept) != 1 or not isinstance(kept[0], torch.Tensor) or kept[0].dim() != 4:
            raise NoFeatureMapError(f"architecture {self._architecture!r} allows no Grad-CAM: use occlusion")
        (gradients,) = torch.autograd.grad(logits.sum(), kept[0])
        return kept[0].detach().float().cpu().numpy(), gradients.float().cpu().numpy()

    def _batch(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with self._autocast():
            logits = self._network(self._normalised(faces))
        return np.asarray(logits.squeeze(1).float().cpu().numpy())

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision == F32 or self._type != torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, AUTOCAST[self._precision])

    def _normalised(self, faces: npt.NDArray[np.uint8]) -> torch.Tensor:
        pixels = (
            torch.from_numpy(np.require(faces, requirements=("C", "W"))).to(self._device).permute(0, 3, 1, 2).float()
        )
        scaled = (pixels - self._mean) / self._std
        return scaled.to(self._type).contiguous(memory_format=torch.channels_last)
