"""Engines that run a classifier, all behind one method."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Backend(Protocol):
    """A loaded classifier on a device. Safe to call from several threads at once."""

    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(N, S, S, 3) uint8 RGB faces, as `facecheck.crop.face` cuts them -> (N,) logits, positive = fake."""
        ...
