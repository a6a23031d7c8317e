"""Parts of pictures brought to given sizes by averaging, many at a time, and packed side by side for one network.

The windows are those of `torch.nn.functional.interpolate(mode="area")`, which MTCNN's reference uses and whose
coarseness its regressions follow: cv2's exact area filter, which weighs parts of pixels, moves some boxes by a tenth of
their size.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

STRIPE_BYTES = 512_000
"""So much of a table is worked on at once that it stays in the processor's cache."""
PLANES = 4
"""numpy gathers 16 bytes at a time three times as fast as 12. The fourth plane comes out as zeros."""


class SummedArea:
    """A picture as a summed-area table (Crow 1984), from which any region is averaged to any size by four look-ups.

    Args:
        picture: (H, W, 3) uint8.
    """

    def __init__(self, picture: Pixels) -> None:
        self.height, self.width = picture.shape[:2]
        # 32 bits overflow above 8 megapixels and wrap; differences of wrapped sums are still right.
        sums = cv2.integral(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), sdepth=cv2.CV_32S)
        self._sums: npt.NDArray[np.int32] = np.asarray(sums, np.int32)

    def resized(self, height: int, width: int) -> Floats:
        """The whole picture in another size: (height, width, 4) float32 in [0, 255], zeros in the fourth plane."""
        top, bottom, per_row = _whole(self.height, height)
        left, right, per_column = _whole(self.width, width)
        per_column = _in_planes(per_column)
        means = np.empty((height, width * PLANES), np.float32)
        stripe_rows = max(STRIPE_BYTES // self._sums[0].nbytes, 1)
        for first in range(0, height, stripe_rows):
            rows = slice(first, first + stripe_rows)
            stripe = self._sums.take(bottom[rows], axis=0)
            stripe -= self._sums.take(top[rows], axis=0)
            sums = stripe.take(right, axis=1)
            sums -= stripe.take(left, axis=1)
            averaged = sums.reshape(-1, width * PLANES).astype(np.float32)
            averaged *= per_column
            np.multiply(averaged, per_row[rows, None], out=means[rows])
        return means.reshape(height, width, PLANES)

    def patches(self, regions: Indices, side: int) -> Floats:
        """Many regions at once.

        Args:
            regions: (N, 4) xyxy pixels, inside the picture, none empty.

        Returns:
            (N, side, side, 3) float32 means in [0, 255].
        """
        x0, y0, x1, y1 = regions.T
        top, bottom = (y0[:, None] + edge for edge in _windows(y1 - y0, side))
        left, right = (x0[:, None] + edge for edge in _windows(x1 - x0, side))
        sums = self._corner(bottom, right)
        sums -= self._corner(top, right)
        sums -= self._corner(bottom, left)
        sums += self._corner(top, left)
        means = sums.reshape(len(regions), side, side * PLANES).astype(np.float32)
        means *= _in_planes(_per_pixel(left, right))[:, None]
        means *= _per_pixel(top, bottom)[:, :, None]
        return means.reshape(len(regions), side, side, PLANES)[..., :3]

    def _corner(self, rows: Indices, columns: Indices) -> npt.NDArray[np.int32]:
        flat = rows[:, :, None] * (self.width + 1) + columns[:, None, :]
        return np.asarray(self._sums.reshape(-1, PLANES).take(flat, axis=0), np.int32)


def _windows(sizes: Indices, cells: int) -> tuple[Indices, Indices]:
    """(N, cells) start and end of the pixels that each cell averages; neighbours may share one."""
    cell = np.arange(cells)
    return cell * sizes[:, None] // cells, -(-(cell + 1) * sizes[:, None] // cells)


@functools.lru_cache(maxsize=256)
def _whole(size: int, cells: int) -> tuple[Indices, Indices, Floats]:
    """Start, end and 1 / length of the windows of a whole side; folders have many pictures of one size."""
    start, end = (edge[0] for edge in _windows(np.array([size]), cells))
    return start, end, _per_pixel(start, end)


def _per_pixel(start: Indices, end: Indices) -> Floats:
    return np.reciprocal((end - start).astype(np.float32))


def _in_planes(factors: Floats) -> Floats:
    """(..., N) -> (..., N * PLANES): each factor for the colours of a pixel, and 0 for what is no colour."""
    colours = np.array([1, 1, 1, 0], np.float32)
    return (factors[..., None] * colours).reshape(*factors.shape[:-1], factors.shape[-1] * PLANES)


def laid_out(sizes: Sequence[tuple[int, int]], height: int, width: int) -> list[tuple[int, int, int]]:
    """Lay rectangles on shelves, the shelves on as many canvases of one size as it takes.

    The highest first, each on the first shelf where there is room (first fit decreasing height, Coffman et al. 1980).

    Args:
        sizes: heights and widths, none larger than the canvas.
        height, width: of a canvas, even numbers.

    Returns:
        For each rectangle its canvas, and its top and left there, which are even numbers.
    """
    places = [(0, 0, 0)] * len(sizes)
    shelves: list[_Shelf] = []
    filled: list[int] = []  # How far down each canvas has shelves.
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i][0]):
        tall, wide = (side + side % 2 for side in sizes[index])
        shelf = next((shelf for shelf in shelves if shelf.left + wide <= width), None)
        if shelf is None:
            canvas = next((at for at, bottom in enumerate(filled) if bottom + tall <= height), len(filled))
            if canvas == len(filled):
                filled.append(0)
            shelf = _Shelf(canvas, filled[canvas])
            shelves.append(shelf)
            filled[canvas] += tall
        places[index] = shelf.canvas, shelf.top, shelf.left
        shelf.left += wide
    return places


@dataclass
class _Shelf:
    canvas: int
    top: int
    left: int = 0
