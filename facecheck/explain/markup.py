"""Pieces of the case report as HTML; whatever comes from outside is escaped."""

import base64
import io
from collections.abc import Iterable
from html import escape

from PIL import Image

from facecheck.decoding import Pixels
from facecheck.explain.wording import say

SHOWN_SIDE = 1100


def scale(p_fake: float, low: float, high: float, threshold: float) -> str:
    band = f"<b style='left:{low:.1%};width:{high - low:.1%}'></b>"
    marks = f"<em class=middle style='left:{threshold:.1%}'>{say('threshold')} {threshold:.2f}</em>"
    ends = f"<em style='left:0'>{say('photograph')}</em><em style='right:0'>{say('generated')}</em>"
    return f"<div class=scale>{band}<i style='left:{p_fake:.1%}'></i>{marks}{ends}</div>"


def figure(pixels: Pixels, caption: str, name: str, scale: str = "") -> str:
    """A picture that fills the window when it is clicked, and leaves it with another click; without a script."""
    links = f"<a class=open href='#{name}'>{say('Enlarge')}</a><a class=close href='#_'>{say('Close')}</a>"
    image = f"<img alt='{escape(caption)}' src='{data_url(pixels)}'>"
    return f"<figure id='{name}'>{image}{links}<figcaption>{scale}{escape(caption)}</figcaption></figure>"


def table(rows: dict[str, str]) -> str:
    cells = (
        f"<tr><th>{escape(name)}</th><td><div class=long>{escape(value)}</div></td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>" if rows else ""


def paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def bullets(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def data_url(pixels: Pixels) -> str:
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    picture.save(stream, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
