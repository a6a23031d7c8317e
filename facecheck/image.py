"""Any input -> one upright RGB picture.

Pictures are hostile input: only raster formats that Pillow decodes itself are opened, sizes are checked before a pixel
is decoded, and whatever a decoder trips over comes back as one `ImageError` that names the input and the remedy.
"""

import base64
import binascii
import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from facecheck.errors import ImageError
from facecheck.sanitising import no_warnings, orientation, sanitised, shortened

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | npt.NDArray[Any] | torch.Tensor"
)

# Decoding takes 7 bytes a pixel at its peak: together with torch this stays under 1.5 GiB.
MAX_PIXELS = 80_000_000
MAX_BYTES = 256 << 20
# No EPS (it starts Ghostscript), no PDF, no fonts, no containers of other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA", "ICO")
BAND_PIXELS = 400_000
SIDEWAYS = (5, 6, 7, 8)
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
CLIP_HEADS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"0&\xb2u\x8ef\xcf\x11")
DAMAGED = "get the file again from where it came from"


def load(source: Source, *, name: str | None = None) -> Pixels:
    """Read a picture.

    Args:
        source: path, bytes, binary file object, `data:` URL, PIL image; numpy array (H, W), (H, W, 1), (H, W, 3) RGB
            or (H, W, 4) RGBA, uint8, uint16, bool, or float in [0, 1]; torch tensor of the same dtypes, (H, W) or
            (C, H, W). Of an animation the first frame; alpha is laid over white; EXIF orientation is obeyed.
        name: what messages call it, in place of `describe(source)`.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous, upright.

    Raises:
        ImageError: missing, empty, corrupt, truncated, too large, or not a picture.
    """
    name = name or describe(source)
    if isinstance(source, Image.Image):
        return _decoded(source, name)
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if is_tensor(source):
        return _from_tensor(source, name)
    return _from_bytes(_bytes_of(source, name), name)


def encoded(source: Source) -> bytes | None:
    """The bytes of a picture's file; None where the source is pixels already.

    Raises:
        ImageError: there is no such file, it is too large, or the source is of no kind that `load` takes.
    """
    if isinstance(source, (Image.Image, np.ndarray)) or is_tensor(source):
        return None
    return _bytes_of(source, describe(source))


def describe(source: Source) -> str:
    """A short name of an input for results and error messages."""
    if isinstance(source, str):
        return f"{source[:40]}... ({len(source)} characters)" if source.startswith("data:") else shortened(source)
    if isinstance(source, os.PathLike):
        return shortened(os.fsdecode(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source)} bytes>"
    if isinstance(source, Image.Image):
        return (
            shortened(str(getattr(source, "filename", "")))
            or f"<PIL image {source.mode} {source.width}x{source.height}>"
        )
    if isinstance(source, np.ndarray) or is_tensor(source):
        return f"<{type(source).__name__} {source.dtype} {tuple(source.shape)}>"
    return shortened(str(getattr(source, "name", f"<{type(source).__name__}>")))


def is_one(value: object) -> bool:
    """Whether a value is one picture (as opposed to an iterable of pictures)."""
    simple = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, np.ndarray)
    return isinstance(value, simple) or hasattr(value, "read") or is_tensor(value)


def is_tensor(value: object) -> TypeGuard["torch.Tensor"]:
    """Whether it is one of torch; asking does not import torch."""
    return any(kind.__module__.startswith("torch") and kind.__name__ == "Tensor" for kind in type(value).__mro__)


def _bytes_of(source: Source, name: str) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, str) and source.startswith("data:"):
        return _from_data_url(source, name)
    if isinstance(source, (str, os.PathLike)):
        return _from_file(os.fsdecode(source), name)
    if hasattr(source, "read"):
        try:
            data = source.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: it is closed.
            raise ImageError(f"{name}: cannot be read ({shortened(str(error))})") from error
        if data == b"":
            raise ImageError(f"{name}: nothing is left to read; call its seek(0) first, if it was read before")
        if isinstance(data, bytes):
            return data
        raise ImageError(f"{name}: reading it gave {type(data).__name__}, not bytes; open the file with mode 'rb'")
    raise ImageError(
        f"cannot read a picture from {type(source).__name__}; pass a path, bytes, file, PIL image, array or tensor"
    )


def _from_file(text: str, name: str) -> bytes:
    if not text:
        raise ImageError("an empty path; pass that of a picture")
    if address := ADDRESS.match(text):
        raise ImageError(f"{name}: {_remedy_for_address(address[1].lower())}")
    path = Path(text)
    try:
        if path.is_dir():
            raise ImageError(f"{name}: is a folder; pass its files, or use `facecheck predict FOLDER`")
        if not path.is_file():
            reason = "is not a regular file" if path.exists() else "no such file; check the path"
            raise ImageError(f"{name}: {reason}")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            data = b"" if size > MAX_BYTES else stream.read(MAX_BYTES + 1)  # It may grow meanwhile.
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            why = "too long for a path; pass base64 as data:image/...;base64,... or pass the bytes"
        raise ImageError(f"{name}: cannot be read ({why})") from error
    if max(size, len(data)) > MAX_BYTES:
        raise ImageError(f"{name}: {max(size, len(data))} bytes; files above {MAX_BYTES} bytes are not opened")
    return data


def _remedy_for_address(protocol: str) -> str:
    if protocol == "file":
        return "an address; pass the path, without file://"
    return "an address, and facecheck downloads nothing; fetch the picture and pass its bytes or its path"


def _from_data_url(url: str, name: str) -> bytes:
    head, comma, body = url.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise ValueError("expected data:image/...;base64,...")
        return base64.b64decode("".join(body.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ImageError(f"{name}: not a base64 data URL ({shortened(str(error))})") from error


def _from_bytes(data: bytes, name: str) -> Pixels:
    if not data:
        raise ImageError(f"{name}: is empty; the upload or the copy may have failed")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name}: more than {MAX_BYTES} bytes; such files are not opened")
    try:
        data = sanitised(data)
    except ValueError as error:
        raise ImageError(f"{name}: not decoded ({error}); save it again with another program") from error
    try:
        with no_warnings:
            Image.init()
            opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: {error}; reduce it first") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: {_what_it_is(data)}") from error
    except Exception as error:  # Decoders raise anything from struct.error to IndexError on crafted headers.
        raise ImageError(f"{name}: its header is damaged ({shortened(str(error))}); {DAMAGED}") from error
    # libjpeg wants an arithmetic-coded file in one piece; Pillow gives it 64 KiB at a time.
    opened.decodermaxblock = max(opened.decodermaxblock, len(data) if opened.format in ("JPEG", "MPO") else 0)
    with opened:
        return _decoded(opened, name)


def _what_it_is(data: bytes) -> str:
    """Of a file that holds no picture that can be decoded."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in HEIF_BRANDS:
        return "HEIC/HEIF is not supported; save it as JPEG"
    if brand or data.startswith(CLIP_HEADS) or (data[:4], data[8:12]) == (b"RIFF", b"AVI "):
        return "a video; `facecheck scan` judges the people in it"
    return f"not a picture, or a format that is not supported (supported: {', '.join(FORMATS)})"


def _decoded(picture: Image.Image, name: str) -> Pixels:
    width, height = picture.size
    if not width or not height:
        raise ImageError(f"{name}: is {width}x{height} pixels, it has no area")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width}x{height} pixels is more than {MAX_PIXELS} (a decompression bomb?); reduce it first"
        )
    try:
        picture.load()
        width, height = picture.size  # Pillow turns TIFFs upright itself, now.
        turned = orientation(picture)
        upright = np.empty((width, height, 3) if turned in SIDEWAYS else (height, width, 3), dtype=np.uint8)
        stored = _as_stored(upright, turned)
        for top, band in _bands(picture):
            stored[top : top + band.height] = np.asarray(_rgb(band))
    except Exception as error:  # As above: any decoder, any exception.
        if "closed" in str(error):
            raise ImageError(f"{name}: the PIL image is closed; pass it before it is, or open it again") from error
        raise ImageError(f"{name}: damaged or truncated ({shortened(str(error))}); {DAMAGED}") from error
    return upright


def _bands(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in horizontal bands, so that converting a huge one needs no second and third copy of it."""
    rows = max(BAND_PIXELS // picture.width, 1)
    for top in range(0, picture.height, rows):
        yield top, picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode == "I":
        # Pillow's 32-bit mode holds 16-bit greys.
        return Image.fromarray((np.clip(np.asarray(picture), 0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        return Image.fromarray(np.clip(np.nan_to_num(np.asarray(picture)), 0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view of an upright picture as its file stores it, for EXIF orientations 2 to 8; others are upright."""
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return upright.transpose(1, 0, 2) if orientation in SIDEWAYS else upright


def _from_tensor(tensor: "torch.Tensor", name: str) -> Pixels:
    try:
        values = tensor.detach().cpu()
        array: npt.NDArray[Any] = (values.float() if values.is_floating_point() else values).numpy()
    except (NotImplementedError, RuntimeError, TypeError) as error:
        raise ImageError(
            f"{name}: a tensor without plain values ({shortened(str(error))}); pass a dense one"
        ) from error
    if array.ndim == 3:
        if array.shape[0] not in (1, 3, 4):
            raise ImageError(
                f"{name}: a tensor picture is (C, H, W) with 1, 3 or 4 channels; permute it, or pass list(batch)"
            )
        array = array.transpose(1, 2, 0)
    return _from_array(array, name)


def _from_array(array: npt.NDArray[Any], name: str) -> Pixels:
    if array.dtype.kind in "USO":
        raise ImageError(f"{name}: {array.dtype} values are no pixels; pass uint8, or array.tolist() if they are names")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"{name}: an array picture is (H, W), (H, W, 3) RGB or (H, W, 4) RGBA; transpose it, or pass list(batch)"
        )
    if not array.size:
        raise ImageError(f"{name}: has no area")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ImageError(f"{name}: more than {MAX_PIXELS} pixels; reduce it first")
    pixels = _as_uint8(array, name)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    if pixels.shape[2] == 4:
        return np.asarray(_rgb(Image.fromarray(pixels, "RGBA"))).copy()
    return np.ascontiguousarray(pixels)


def _as_uint8(array: npt.NDArray[Any], name: str) -> Pixels:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"{name}: {array.dtype} pixels; pass uint8, uint16, bool, or float in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not (low >= -0.01 and high <= 1.01):  # Also false for NaN.
        raise ImageError(
            f"{name}: float pixels must be in [0, 1], these are in [{low:g}, {high:g}]; divide by 255 or pass uint8"
        )
    return np.asarray((np.clip(array, 0, 1) * 255).round(), dtype=np.uint8)
