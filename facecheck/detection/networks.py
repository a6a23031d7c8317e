"""MTCNN's three networks (P-Net, R-Net, O-Net) on any engine, behind one interface."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Run = Callable[[Floats], tuple[Floats, ...]]
PNET, RNET, ONET = "pnet", "rnet", "onet"
HIDDEN = -1e6
"""In the fourth plane of a canvas: less than anything that PNet's first layer gives."""
CANVAS = (160, 192)
"""Height and width. One size for all, because engines prepare themselves anew for each; small, so that little of the
last one stays empty, and that what the network keeps of it stays in the processor's cache."""


@dataclass(frozen=True)
class Networks:
    """The three networks. Pixels are float32 in [0, 255], RGB. Safe to use from several threads at once.

    Attributes:
        pnet: canvases (N, *CANVAS, 4), on which pictures may lie next to each other -> offsets (N, 4, h, w) and scores
            (N, h, w) of the cells. The fourth plane is added to what the first convolution and its PReLU give at the
            windows that start there; `HIDDEN` keeps them from the pooling.
        rnet: (N, 24, 24, 3) -> offsets (N, 4), scores (N,).
        onet: (N, 48, 48, 3) -> offsets (N, 4), scores (N,), landmarks (N, 5, 2) xy in sides of the box.
        for_workers: the same for callers that work in several threads at once: each gets one processor, none waits.
    """

    pnet: Run
    rnet: Run
    onet: Run
    for_workers: "Callable[[], Networks]"
