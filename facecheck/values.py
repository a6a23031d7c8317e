"""From the values that a file stores to those that a screen shows: greys of any depth, profiles, transparency -> RGB.

What has to be assumed is said: a grey of 12 bits in a file of 16 looks like one of a picture that is almost black. And
the pixels that a JPEG XL claims, whose plugin decodes before it tells.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from facecheck.errors import ImageError

Convert = Callable[[Image.Image], Image.Image]
"""A band of a picture in its own mode -> RGB."""

TOPS = {255: 8, 1023: 10, 4095: 12, 16383: 14, 65535: 16}
"""The largest value of a depth -> its bits."""
LARGEST_PROFILE = 4 << 20
JXL_CODESTREAM = b"\xff\x0a"
_ROUNDING = 0.01
_SEE_THROUGH = ("RGBA", "LA", "PA", "RGBa", "La")
_SPACES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "LAB": "Lab"}


def converter(picture: Image.Image) -> tuple[Convert, str]:
    """How to turn bands of a picture into RGB, and a sentence on what was assumed; empty if nothing was.

    Args:
        picture: decoded. Its colour profile, its depth and its transparency decide.
    """
    if picture.mode == "F" or picture.mode.startswith("I"):
        top, assumed = top_of(np.asarray(picture))
        return lambda band: Image.fromarray(scaled(np.asarray(band), top)).convert("RGB"), assumed
    transform, problem = _to_srgb(picture)
    return lambda band: _shown(band, transform), problem


def top_of(values: npt.NDArray[Any]) -> tuple[float, str]:
    """The value that is white, and a sentence on it where it is an assumption.

    Args:
        values: greys, integers or floats: 1 is white of numbers up to 1, else the top of the least depth (8, 10, 12,
            14 or 16 bits) that holds them all.
    """
    largest = float(np.nan_to_num(values.max(initial=0), nan=0.0, posinf=0.0, neginf=0.0))
    is_float = np.issubdtype(values.dtype, np.floating)
    if is_float and not np.isfinite(values.max(initial=0)):
        largest = float(values[np.isfinite(values)].max(initial=0))
    if is_float and largest <= 1 + _ROUNDING:
        return 1.0, "The greys are numbers up to 1; 1 was read as white."
    top = float(next((top for top in TOPS if largest <= top), largest))
    bits = TOPS.get(int(top))
    if bits == 16 or (bits == 8 and values.dtype.itemsize == 1):
        return top, ""
    depth = f"as those of {bits} bits" if bits else "up to the largest of them"
    return top, f"The greys are {values.dtype} numbers up to {largest:g}; they were read {depth}."


def scaled(values: npt.NDArray[Any], top: float) -> npt.NDArray[np.uint8]:
    """Greys on a scale up to `top` as uint8, same shape; what is no number is black."""
    if top == 65535:
        return np.asarray(np.clip(np.nan_to_num(values), 0, top).astype(np.uint16) >> 8, dtype=np.uint8)
    share = np.clip(np.nan_to_num(values), 0, top).astype(np.float32) / np.float32(top)
    return np.asarray((share * 255).round(), dtype=np.uint8)


def as_uint8(array: npt.NDArray[Any], name: str) -> tuple[npt.NDArray[np.uint8], str]:
    """The values of an array on 8 bits, same shape, and what had to be assumed for it.

    Args:
        array: uint8, uint16, bool, or float in [0, 1]. name: what messages call it.

    Raises:
        ImageError: another dtype, or floats on another scale.
    """
    if array.dtype == np.uint8:
        return array, ""
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), ""
    if array.dtype == np.uint16:
        top, assumed = top_of(array)
        return scaled(array, top), assumed
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"{name}: {array.dtype} pixels; pass uint8, uint16, bool, or float in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not (low >= -0.01 and high <= 1.01):  # Also false for NaN.
        raise ImageError(
            f"{name}: float pixels must be in [0, 1], these are in [{low:g}, {high:g}]; divide by 255 or pass uint8"
        )
    return scaled(array, 1.0), ""


def _shown(band: Image.Image, transform: Any) -> Image.Image:
    """As a browser shows it: by its profile, and on white where it is transparent."""
    if transform is not None:
        band = ImageCms.applyTransform(band, transform) or band
    if band.mode in _SEE_THROUGH or "transparency" in band.info:
        layer = band.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return band if band.mode == "RGB" else band.convert("RGB")


def _to_srgb(picture: Image.Image) -> tuple[Any, str]:
    """A transform of littlecms to sRGB; None where the picture is sRGB, or has no profile that says otherwise."""
    space, stored = _SPACES.get(picture.mode), picture.info.get("icc_profile")
    profile = stored if isinstance(stored, bytes) and 0 < len(stored) <= LARGEST_PROFILE else b""
    if space is None or not (profile or space == "Lab"):
        return None, ""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if _is_srgb(source) or source.profile.xcolor_space.strip() != space:
            return None, ""
        target = "RGBA" if picture.mode == "RGBA" else "RGB"
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), picture.mode, target), ""
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None, "The colour profile is damaged; the colours were read without it."


def _is_srgb(profile: Any) -> bool:
    return "srgb" in (profile.profile.profile_description or "").lower()


def jxl_pixels(data: bytes) -> int:
    """Width times height by the header of a JPEG XL codestream (ISO/IEC 18181-1, SizeHeader); 0 if there is none."""
    at = _jxl_codestream(data)
    bits = int.from_bytes(data[at + 2 : at + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    is_small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    width = height * (1, 10, 12, 4, 3, 16, 5, 2)[ratio] // (1, 10, 10, 3, 2, 9, 4, 1)[ratio] if ratio else side()
    return width * height


def _jxl_codestream(data: bytes) -> int:
    """Where it begins: at once, or in the first box that holds some of it."""
    at = 0
    while not data.startswith(JXL_CODESTREAM, at) and at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if name in (b"jxlc", b"jxlp"):
            return at + (8 if name == b"jxlc" else 12)
        at += max(size, 8)
    return at
