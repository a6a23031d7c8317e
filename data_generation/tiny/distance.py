"""How far generated faces are from photographs: the kernel distance (Binkowski et al. 2018, "Demystifying MMD GANs").

The unbiased square of the maximum mean discrepancy under a cubic kernel, on what a frozen ResNet50 of ImageNet makes of
the pictures, in place of Inception: 0 where both sets come from one distribution; unlike the Frechet distance it has no
bias for few pictures.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from data_generation.tiny.run import Faces
from training.unseen.extractor import Extractor

Features = npt.NDArray[np.float64]
BATCH = 16


@dataclass(frozen=True)
class KernelDistance:
    """Mean and standard deviation over random subsets."""

    mean: float
    deviation: float


def features(faces: Faces, extractor: Extractor) -> Features:
    """(N, S, S, 3) uint8 -> (N, D): means of the last layer over all places."""
    side, last = extractor.input_size, extractor.blocks[-2:]
    columns = np.concatenate([np.arange(block.start, block.stop) for block in last if block.statistic == "mean"])
    rows = []
    for start in range(0, len(faces), BATCH):
        pixels = torch.from_numpy(np.ascontiguousarray(faces[start : start + BATCH].transpose(0, 3, 1, 2)))
        resized = torch.nn.functional.interpolate(pixels.float(), (side, side), mode="bicubic", antialias=True)
        rows.append(extractor(resized.round().clamp(0, 255).to(torch.uint8))[:, columns])
    return np.concatenate(rows).astype(np.float64)


def kernel_distance(first: Features, second: Features, subset: int = 250, rounds: int = 100) -> KernelDistance:
    """Between (N, D) and (M, D) features, over `rounds` random subsets of at most `subset` rows of each."""
    rng, size = np.random.default_rng(0), min(subset, len(first), len(second))
    found = [
        _squared_discrepancy(*(rows[rng.choice(len(rows), size, replace=False)] for rows in (first, second)))
        for _ in range(rounds)
    ]
    return KernelDistance(float(np.mean(found)), float(np.std(found)))


def _squared_discrepancy(first: Features, second: Features) -> float:
    def kernel(a: Features, b: Features) -> Features:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    count = len(first)
    within = sum((each := kernel(rows, rows)).sum() - np.trace(each) for rows in (first, second))
    return float(within / (count * (count - 1)) - 2 * kernel(first, second).mean())
