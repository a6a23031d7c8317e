"""The delivery tiers: how a file arrives, both classes alike. Every published rate names its tier."""

import io

from PIL import Image

from facecheck.image import FORMATS

TIERS: dict[str, tuple[int, int] | None] = {"clean": None, "web": (768, 60), "hard": (512, 40)}
"""Name -> (longest side in pixels, JPEG quality); None leaves the file as it is."""


def delivered(data: bytes, tier: str) -> bytes:
    """The bytes of a picture file as they arrive through a tier of `TIERS`: reduced by LANCZOS, saved as JPEG.

    Raises:
        KeyError: no such tier.
    """
    settings = TIERS[tier]
    if settings is None:
        return data
    side, quality = settings
    picture = Image.open(io.BytesIO(data), formats=FORMATS).convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
