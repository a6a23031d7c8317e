"""Parts of pictures brought to given sizes by averaging, many at a time, and packed side by side for one network.

The windows are those of `torch.nn.functional.interpolate(mode="area")`, which MTCNN's reference uses and whose
coarseness its regressions follow: cv2's exact area filter moves some boxes by a tenth of their size.
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

ROWS_AT_ONCE = 64
"""A stripe of a large picture's table that stays in the processor's cache."""


class SummedArea:
    """A picture as a summed-area table (Crow 1984), from which any region is averaged to any size by four look-ups.

    Args:
        picture: (H, W, 3) uint8.
    """

    def __init__(self, picture: Pixels) -> None:
        self.height, self.width = picture.shape[:2]
        # 32 bits overflow above 8 megapixels and wrap; differences of wrapped sums are still right.
        self._sums: npt.NDArray[np.int32] = np.asarray(cv2.integral(picture, sdepth=cv2.CV_32S), np.int32)

    def resize_into(self, means: Floats, size: tuple[int, int], start: tuple[int, int] = (0, 0)) -> None:
        """Fill a part of the resized picture.

        Args:
            means: (h, w, 3) float32, gets values in [0, 255].
            size: height and width of the whole picture after resizing, pixels.
            start: row and column of the part in it.
        """
        rows, columns = (slice(first, first + count) for first, count in zip(start, means.shape, strict=False))
        tops, bottoms, per_row = _whole(self.height, size[0])
        lefts, rights, per_column = _whole(self.width, size[1])
        top, bottom, left, right = tops[rows], bottoms[rows], lefts[columns], rights[columns]
        per_pixel = (per_row[rows, None] * per_column[columns])[:, :, None]
        for first in range(0, len(means), ROWS_AT_ONCE):
            stripe_rows = slice(first, first + ROWS_AT_ONCE)
            stripe = self._sums.take(bottom[stripe_rows], axis=0)
            stripe -= self._sums.take(top[stripe_rows], axis=0)
            sums = stripe.take(right, axis=1)
            sums -= stripe.take(left, axis=1)
            np.multiply(sums, per_pixel[stripe_rows], out=means[stripe_rows], dtype=np.float32, casting="unsafe")

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
        per_pixel = np.reciprocal(((bottom - top)[:, :, None] * (right - left)[:, None, :]).astype(np.float32))[
            ..., None
        ]
        return np.asarray(np.multiply(sums, per_pixel, dtype=np.float32, casting="unsafe"))

    def _corner(self, rows: Indices, columns: Indices) -> npt.NDArray[np.int32]:
        flat = rows[:, :, None] * (self.width + 1) + columns[:, None, :]
        return np.asarray(self._sums.reshape(-1, 3).take(flat, axis=0), np.int32)


def _windows(sizes: Indices, cells: int) -> tuple[Indices, Indices]:
    """(N, cells) start and end of the pixels that each cell averages; neighbours may share one."""
    cell = np.arange(cells)
    return cell * sizes[:, None] // cells, -(-(cell + 1) * sizes[:, None] // cells)


@functools.lru_cache(maxsize=256)
def _whole(size: int, cells: int) -> tuple[Indices, Indices, Floats]:
    """Start, end and 1 / length of the windows of a whole side; folders have many pictures of one size."""
    start, end = (edge[0] for edge in _windows(np.array([size]), cells))
    return start, end, np.reciprocal((end - start).astype(np.float32))


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
