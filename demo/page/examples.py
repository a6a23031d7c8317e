"""The pictures that a visitor may try with one click, each with what it teaches.

Photographs in the public domain are taken from the packages that carry them, as far as these are installed, and
changed here, when they are asked for, as the world changes photographs; generated faces come from the folder
`examples`.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from fastapi import FastAPI, HTTPException, Response
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent / "examples"
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
HOPPER = ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")  # James S. Davis, US Navy, 1984
COLLINS = ("skimage", "data/astronaut.png")  # NASA, 1995
CAT = ("skimage", "data/chelsea.png")  # Stéfan van der Walt, 2012
SMALL_SIDE, CROWD_COLUMNS, CROWD_SIDE = 96, 6, 150
HEADS = ((0.2, 0.02, 0.9, 0.72), (0.19, 0.04, 0.69, 0.54))
"""Of Hopper and Collins, in widths of the picture: each face has 48 pixels or more in a crowd."""


@dataclass(frozen=True)
class Example:
    """One example; files whose names begin with `generated` came out of a generator.

    Attributes:
        name: of the file. title, teaches: what the visitor reads. data: of the file, made when it is first asked for.
    """

    name: str
    title: str
    teaches: str
    data: Callable[[], bytes]

    @property
    def is_generated(self) -> bool:
        """Whether a generator made it."""
        return self.name.startswith("generated")

    @property
    def media_type(self) -> str:
        """For browsers."""
        return TYPES[Path(self.name).suffix.lower()]

    def small(self) -> bytes:
        """A JPEG of 96 x 96 pixels, to choose by."""
        with Image.open(io.BytesIO(self.data())) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (SMALL_SIDE, SMALL_SIDE), centering=(0.5, 0.25))
        return _jpeg(square, 82)


TAUGHT = {"generated-portrait": ("Redrawn by a generator", "the model misses it, only the file tells")}


@cache
def examples() -> tuple[Example, ...]:
    """All examples, those of the folder first."""
    found = [
        Example(path.name, *TAUGHT.get(path.stem, (_title(path.stem), "")), path.read_bytes)
        for path in sorted(FOLDER.iterdir())
        if path.suffix.lower() in TYPES
    ]
    hopper, collins, cat = map(_carried, (HOPPER, COLLINS, CAT))
    if collins:
        found.append(Example("photograph.jpg", "A photograph", "of a person: Eileen Collins", _made(_plain, collins)))
        found.append(
            Example(
                "retouched.jpg", "The same, retouched", "a beauty filter is no generator", _made(_retouched, collins)
            )
        )
        found.append(Example("small.jpg", "A small face", "too few pixels: no verdict", _made(_small, collins)))
    if hopper:
        found.append(Example("old.jpg", "An old photograph", "from 1984, scanned: Grace Hopper", _made(_plain, hopper)))
    if hopper and collins:
        found.append(Example("crowd.jpg", "A crowd", "each face is judged by itself", _made(_crowd, hopper, collins)))
    if cat:
        found.append(Example("cat.jpg", "A cat", "no human face, no verdict", _made(_plain, cat)))
    return tuple(found)


def _title(stem: str) -> str:
    return stem.removeprefix("generated-").replace("-", " ").replace("_", " ").capitalize()


def _carried(place: tuple[str, str]) -> Path | None:
    """Found without importing the package."""
    spec = find_spec(place[0])
    path = Path(spec.origin).parent / place[1] if spec is not None and spec.origin else None
    return path if path is not None and path.is_file() else None


def _made(change: Callable[..., Image.Image], *paths: Path) -> Callable[[], bytes]:
    return cache(lambda: _jpeg(change(*(Image.open(path).convert("RGB") for path in paths))))


def _jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _plain(picture: Image.Image) -> Image.Image:
    return picture


def _retouched(picture: Image.Image) -> Image.Image:
    """Skin smoothed and light raised, as phones do."""
    smooth = cv2.bilateralFilter(np.asarray(picture), 9, 40, 9).astype(np.float32)
    return Image.fromarray(np.clip(smooth * 1.06 + 6, 0, 255).astype(np.uint8))


def _small(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 3, picture.height // 3), Image.Resampling.LANCZOS)


def _crowd(*portraits: Image.Image) -> Image.Image:
    """A wall of portraits: the same few people many times, each face large enough to be judged."""
    heads = []
    for one, near in zip(portraits, HEADS, strict=True):
        x0, y0, x1, y1 = (round(one.width * part) for part in near)
        heads.append(one.crop((x0, y0, x1, y1)).resize((CROWD_SIDE, CROWD_SIDE), Image.Resampling.LANCZOS))
    wall = Image.new("RGB", (CROWD_COLUMNS * CROWD_SIDE, 2 * CROWD_SIDE))
    for place in range(2 * CROWD_COLUMNS):
        row, column = divmod(place, CROWD_COLUMNS)
        head = heads[(place + row) % len(heads)]
        wall.paste(ImageOps.mirror(head) if column % 4 > 1 else head, (column * CROWD_SIDE, row * CROWD_SIDE))
    return wall


def add_examples(app: FastAPI) -> None:
    """Serve the examples and their small copies, and no other file beside them."""

    def known(name: str) -> Example:
        for example in examples():
            if example.name == name:
                return example
        raise HTTPException(404, "There is no such example.")

    @app.get("/examples/{name}", include_in_schema=False)
    def example(name: str) -> Response:
        return Response(known(name).data(), media_type=known(name).media_type)

    @app.get("/examples/small/{name}", include_in_schema=False)
    def small(name: str) -> Response:
        return Response(known(name).small(), media_type="image/jpeg", headers={"cache-control": "max-age=86400"})
