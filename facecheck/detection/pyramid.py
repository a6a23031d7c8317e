"""Pictures as a search sees them: levels, their parts on canvases for PNet, and the cells that come back.

Averages are over the windows of `torch.nn.functional.interpolate(mode="area")`, which MTCNN's reference uses and whose
coarseness its regressions follow: cv2's exact area filter, which weighs parts of pixels, moves some boxes by a tenth of
their size.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from facecheck.detection.candidates import Candidates
from facecheck.detection.networks import CANVAS, HIDDEN

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
PNET_CELL, PNET_STRIDE = 12, 2
STRIPE_BYTES = 512_000
"""So much of a table is worked on at once that it stays in the processor's cache."""
PLANES = 4
"""numpy gathers 16 bytes at a time three times as fast as 12. The fourth plane comes out as zeros."""


@dataclass(frozen=True)
class Tile:
    """A part of one picture at one scale, and where it lies on the canvases.

    Attributes:
        owner: index of the picture. scale: pixels here for one of the picture. level: height and width of the whole.
        row, column: where it begins in the whole. height, width: its size.
    """

    owner: int
    scale: float
    level: tuple[int, int]
    row: int
    column: int
    height: int
    width: int
    canvas: int = 0
    top: int = 0
    left: int = 0

    def of(self, maps: Indices) -> Indices:
        """Its part of maps like PNet's (N, h, w): a 3x3 kernel, a pooling that keeps the rest, two 3x3 kernels."""
        rows, columns = (self.height - 1) // 2 - 4, (self.width - 1) // 2 - 4
        return maps[self.canvas, self.top // 2 :, self.left // 2 :][:rows, :columns]


def parts(length: int, longest: int) -> Iterator[tuple[int, int]]:
    """Start and length of the parts whose cells are together those of the whole: they share what a cell sees."""
    step = longest - PNET_CELL + PNET_STRIDE
    for start in range(0, max(length - PNET_CELL + PNET_STRIDE, 1), step):
        yield start, min(longest, length - start)


@dataclass(frozen=True)
class Plan:
    """How to search one picture.

    Attributes:
        face_px: smallest face looked for, pixels. scale: of the largest level of the pyramid.
        shrink: the picture is reduced by this first. Faces stay at least as large as the networks were made for; the
            table of a 40-megapixel picture would need 640 MB.
    """

    face_px: float
    scale: float
    shrink: int


@dataclass
class View:
    """A picture as a search sees it.

    Attributes:
        table: of the picture, reduced by `plan.shrink`.
        cells: what PNet proposed on each level; of those up to the scale `known` before the search.
    """

    plan: Plan
    table: "SummedArea"
    cells: Candidates = field(default_factory=Candidates.empty)
    known: float = 0.0

    @classmethod
    def of(cls, picture: Pixels, plan: Plan) -> Self:
        """For a first search."""
        return cls(plan, SummedArea(_shrunk(picture, plan.shrink)))

    def closer(self, picture: Pixels, plan: Plan) -> "View":
        """For a finer search, which looks at no level twice."""
        if plan.shrink != self.plan.shrink:
            return View.of(picture, plan)
        # Scales are products of floats: those of one level may differ in the last digit.
        return View(plan, self.table, self.cells, self.plan.scale * plan.shrink * 1.001)

    def tiles(self, owner: int, factor: float) -> Iterator[Tile]:
        """The levels that are new, each `factor` times as large as the one before."""
        table, scale = self.table, self.plan.scale * self.plan.shrink
        while min(table.height, table.width) * scale >= PNET_CELL and scale > self.known:
            level = int(table.height * scale + 1), int(table.width * scale + 1)
            for row, height in parts(level[0], CANVAS[0]):
                for column, width in parts(level[1], CANVAS[1]):
                    yield Tile(owner, scale, level, row, column, height, width)
            scale *= factor


def _shrunk(picture: Pixels, factor: int) -> Pixels:
    """Without the last rows and columns that make no whole pixel: averaging whole ones is ten times as fast."""
    height, width = (side // factor for side in picture.shape[:2])
    if factor == 1:
        return picture
    if not min(height, width):  # So thin a picture holds no face of the sizes looked for.
        return picture[:1, :1]
    whole = picture[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def canvases_of(tables: "Sequence[SummedArea]", tiles: Sequence[Tile]) -> Floats:
    """(N, H, W, 4): the pixels, and what `Networks.run` must not see; the tiles of a level follow each other."""
    canvases = np.zeros((max((tile.canvas for tile in tiles), default=-1) + 1, *CANVAS, PLANES), np.float32)
    for (owner, level), parts_of_level in groupby(tiles, key=lambda tile: (tile.owner, tile.level)):
        resized = tables[owner].resized(*level)
        for tile in parts_of_level:
            own = canvases[tile.canvas, tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
            own[:] = resized[tile.row : tile.row + tile.height, tile.column : tile.column + tile.width]
            # Where a side is odd, PNet's pooling reaches one row beyond the tile's own: into its neighbour.
            if tile.height % 2:
                own[-2, :, 3] = HIDDEN
            if tile.width % 2:
                own[:, -2, 3] = HIDDEN
    return canvases


def cells_of(tiles: Sequence[Tile], offsets: Floats, scores: Floats, threshold: float) -> tuple[Candidates, Indices]:
    """Cells of all tiles above the threshold as boxes in their pictures, in the order of the tiles.

    Returns:
        The boxes, and for each the index of its tile.
    """
    whose = np.full(scores.shape, -1, np.int64)
    for index, tile in enumerate(tiles):
        tile.of(whose)[...] = index
    canvas, row, column = np.nonzero((scores >= threshold) & (whose >= 0))
    mine = whose[canvas, row, column]
    order = np.argsort(mine, kind="stable")
    canvas, row, column, mine = (each[order] for each in (canvas, row, column, mine))
    # Where a tile begins in its level, less where it begins on its canvas, in pixels of both.
    shift = np.array([(t.column - t.left, t.row - t.top) for t in tiles], np.int64).reshape(-1, 2)[mine]
    corner = (np.stack([column, row], axis=1) * PNET_STRIDE + shift + 1).astype(np.float32)
    scale = np.array([tile.scale for tile in tiles], np.float32)[mine, None]
    boxes = np.floor(np.hstack([corner, corner + (PNET_CELL - 1)]) / scale)
    owner = np.array([tile.owner for tile in tiles], np.int64)[mine]
    return Candidates(boxes, scores[canvas, row, column], offsets[canvas, :, row, column], owner), mine


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
