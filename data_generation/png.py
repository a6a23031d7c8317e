"""Lossless PNG files that say what they are: the recipe in a text chunk, the IPTC source type in an XMP packet.

The bytes depend on pixels and recipe only, so the same recipe gives the same file.
"""

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data_generation.record import Recipe
from facecheck.files import write_atomically

Pixels = npt.NDArray[np.uint8]
CHUNK = "facecheck"
XMP_CHUNK = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
"""IPTC Photo Metadata Standard 2023.1, "Digital Source Type"."""
PARTIAL = ".partial"


def encode(pixels: Pixels, recipe: Recipe, versions: dict[str, str], licence: str) -> bytes:
    """(H, W, 3) uint8 RGB -> the bytes of its PNG."""
    content = {"id": recipe.id, **dataclasses.asdict(recipe), "versions": versions, "licence": licence}
    info = PngInfo()
    info.add_itxt(CHUNK, json.dumps(content, ensure_ascii=False, sort_keys=True))
    info.add_itxt(XMP_CHUNK, XMP)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=info, compress_level=6)
    return stream.getvalue()


def encode_plain(pixels: Pixels) -> bytes:
    """(H, W, 3) uint8 RGB of a photograph -> PNG bytes that say nothing."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def embedded_recipe(path: Path) -> dict[str, Any]:
    """What the text chunk of a generated PNG says; empty for other pictures."""
    with Image.open(path, formats=("PNG",)) as picture:
        picture.load()
        text = getattr(picture, "text", {}).get(CHUNK)
    return dict(json.loads(text)) if text else {}


def store(content: bytes, path: Path) -> str:
    """Write a file so that a kill leaves it whole or absent; return its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def remove_partials(folder: Path) -> None:
    """Remove what a killed run left half written in its own folder of images."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink()
