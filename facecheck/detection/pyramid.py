"""Pictures as a search sees them: levels, their parts on canvases for PNet, and the cells that come back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from facecheck.detection.candidates import Candidates
from facecheck.detection.networks import CANVAS, HIDDEN
from facecheck.detection.sampling import PLANES, SummedArea

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
PNET_CELL, PNET_STRIDE = 12, 2


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
    table: SummedArea
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


def canvases_of(tables: Sequence[SummedArea], tiles: Sequence[Tile]) -> Floats:
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
