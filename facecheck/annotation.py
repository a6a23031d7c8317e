"""Faces framed on their picture: for `Prediction.draw`, the command line and notebooks."""

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image, ImageDraw, ImageFont

from facecheck.decoding import Pixels

COLOURS = {"real": "#2f7fd1", "fake": "#e0362a", "uncertain": "#e3a008"}
"""By verdict; the word stands beside the frame, so that nothing depends on colour."""
NOTEBOOK_SIDE_PX = 640


def framed(
    pixels: Pixels, boxes: Sequence[tuple[float, float, float, float]], labels: Sequence[str], verdicts: Sequence[str]
) -> Image.Image:
    """The picture with a frame and a label for each face.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        boxes: xyxy, pixels. labels: what is written at each. verdicts: words of `facecheck.Verdict`, for the colours.
    """
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    line = max(round(max(picture.size) / 300), 2)
    font = ImageFont.load_default(max(max(picture.size) / 45, 11))
    for (x0, y0, x1, y1), label, verdict in zip(boxes, labels, verdicts, strict=True):
        colour = COLOURS.get(verdict, "#4b5a65")
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=line)
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        width, height = right - left + 4 * line, bottom - top + 3 * line
        x = min(max(x0, 0), max(picture.width - width, 0))
        y = y0 - height if y0 >= height else min(y1, picture.height - height)
        pen.rectangle((x, y, x + width, y + height), fill=colour)
        pen.text((x + 2 * line - left, y + line - top), label, fill="white", font=font)
    return picture


def as_html(title: str, lines: Sequence[str], picture: Image.Image | None) -> str:
    """A block for notebooks: every text escaped, the picture inside."""
    shown = ""
    if picture is not None:
        stream = io.BytesIO()
        picture.thumbnail((NOTEBOOK_SIDE_PX, NOTEBOOK_SIDE_PX), Image.Resampling.LANCZOS)
        picture.save(stream, "JPEG", quality=85)
        shown = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}">'
    told = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div><p><b>{escape(title)}</b></p>{shown}<ul>{told}</ul></div>"
