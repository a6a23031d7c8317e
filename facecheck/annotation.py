"""Faces framed on their picture: for `Prediction.draw`, the command line and notebooks."""

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

from facecheck.decoding import Pixels
from facecheck.errors import ImageError

COLOURS = {"real": "#2f7fd1", "fake": "#e0362a", "uncertain": "#e3a008"}
"""By verdict; the word stands beside the frame, so that nothing depends on colour."""
NOTEBOOK_SIDE_PX = 640


class Judged(Protocol):
    """What is shown of a `facecheck.Face`."""

    @property
    def box(self) -> tuple[float, float, float, float]: ...
    @property
    def verdict(self) -> str: ...
    @property
    def p_fake(self) -> float: ...


def framed(pixels: Pixels, faces: Sequence[Judged]) -> Image.Image:
    """The picture, (H, W, 3) uint8 RGB, with a frame and a label for each face."""
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    line = max(round(max(picture.size) / 300), 2)
    font = ImageFont.load_default(max(max(picture.size) / 45, 11))
    for number, face in enumerate(faces, 1):
        (x0, y0, x1, y1), label = face.box, f"{number} {face.verdict} {face.p_fake:.2f}"
        colour = COLOURS.get(face.verdict, "#4b5a65")
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=line)
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        width, height = right - left + 4 * line, bottom - top + 3 * line
        x = min(max(x0, 0), max(picture.width - width, 0))
        y = y0 - height if y0 >= height else min(y1, picture.height - height)
        pen.rectangle((x, y, x + width, y + height), fill=colour)
        pen.text((x + 2 * line - left, y + line - top), label, fill="white", font=font)
    return picture


def as_html(title: str, lines: Sequence[str], draw: Callable[[], Image.Image] | None) -> str:
    """A block for notebooks: every text escaped, the picture inside, if it can still be read."""
    shown = ""
    with suppress(ImageError, OSError):
        shown = "" if draw is None else _embedded(draw())
    told = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div><p><b>{escape(title)}</b></p>{shown}<ul>{told}</ul></div>"


def _embedded(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.thumbnail((NOTEBOOK_SIDE_PX, NOTEBOOK_SIDE_PX), Image.Resampling.LANCZOS)
    picture.save(stream, "JPEG", quality=85)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}">'
