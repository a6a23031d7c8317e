"""Any input -> one upright RGB picture.

Pictures are hostile input: only raster formats are opened (`facecheck.decoding`), sizes are checked before a pixel is
decoded, and whatever a decoder trips over comes back as one `ImageError` that names the input and the remedy.
"""

import base64
import binascii
import errno
import inspect
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypedDict, TypeGuard

import numpy as np
import numpy.typing as npt
from PIL import Image

from facecheck import values
from facecheck.decoding import MAX_PIXELS, Picture, Pixels, decode, decoded
from facecheck.errors import ImageError
from facecheck.sanitising import open_file, shortened

if TYPE_CHECKING:
    import torch

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | npt.NDArray[Any] | torch.Tensor"
)

MAX_BYTES = 256 << 20
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


class Options(TypedDict, total=False):
    """What a call of `facecheck.predict` may say by keyword.

    Attributes:
        name: what results and messages call the one picture; by default its path, or the name that an upload has.
        bgr: whether arrays have their channels in the order of OpenCV, (H, W, 3) BGR or (H, W, 4) BGRA.
        max_fpr: a false-accusation budget for this call, in place of the checker's own.
        stability: whether to check this call's faces for stability, in place of the checker's own setting.
    """

    name: str | None
    bgr: bool
    max_fpr: float | None
    stability: bool | None


def load(source: Source, *, name: str | None = None) -> Pixels:
    """Read a picture; `read` says more of it.

    Args:
        source: path, bytes, binary file object, `data:` URL, PIL image; numpy array (H, W), (H, W, 1), (H, W, 3) RGB
            or (H, W, 4) RGBA, uint8, uint16, bool, or float in [0, 1]; torch tensor of the same dtypes, (H, W) or
            (C, H, W). Arrays of OpenCV are BGR: give `as_rgb(array)`, or `bgr=True` to `predict`. Of an animation the
            first frame that shows something; alpha is laid over white; EXIF orientation and colour profile are obeyed.
        name: what messages call it, in place of `describe(source)`.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous, upright.

    Raises:
        ImageError: missing, empty, corrupt, truncated, too large, or not a picture.
    """
    return read(source, name=name).pixels


def read(source: Source, *, name: str | None = None) -> Picture:
    """Read a picture, as `load` does, with what had to be assumed.

    Raises:
        ImageError: as `load`.
    """
    name = name or describe(source)
    if isinstance(source, Image.Image):
        return decoded(source, name)
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if is_tensor(source):
        return _from_tensor(source, name)
    return decode(_checked(_bytes_of(source, name), name), name)


def encoded(source: Source, *, name: str | None = None) -> bytes | None:
    """The bytes of a picture's file; None where the source is pixels already.

    Args:
        name: as for `load`.

    Raises:
        ImageError: there is no such file, it is too large, or the source is of no kind that `load` takes.
    """
    if isinstance(source, (Image.Image, np.ndarray)) or is_tensor(source):
        return None
    return _bytes_of(source, name or describe(source))


def as_rgb(source: Source) -> Source:
    """An array with its channels in the order of OpenCV, (H, W, 3) BGR or (H, W, 4) BGRA, in ours; else the same."""
    if isinstance(source, np.ndarray) and source.ndim == 3 and source.shape[2] in (3, 4):
        return source[:, :, [2, 1, 0, 3][: source.shape[2]]]
    return source


def describe(source: Source) -> str:
    """A short name of an input for results and error messages."""
    if isinstance(source, (str, os.PathLike)):
        text = os.fsdecode(source)
        return f"{text[:40]}... ({len(text)} characters)" if text.startswith("data:") else shortened(text)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source)} bytes>"
    if isinstance(source, np.ndarray) or is_tensor(source):
        return f"<{type(source).__name__} {source.dtype} {tuple(source.shape)}>"
    # Uploads of FastAPI and Flask have a filename beside a name that says something else, or is a number.
    for named in (getattr(source, "filename", None), getattr(source, "name", None)):
        if isinstance(named, (str, bytes, os.PathLike)) and named:
            return shortened(os.fsdecode(named))
    if isinstance(source, Image.Image):
        return f"<PIL image {source.mode} {source.width}x{source.height}>"
    return f"<{type(source).__name__}>"


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
        # An upload of FastAPI reads asynchronously, and has the file itself beside it.
        stream = getattr(source, "file", source) if inspect.iscoroutinefunction(source.read) else source
        try:
            data = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: it is closed.
            why = error.strerror if isinstance(error, OSError) else None
            raise ImageError(f"{name}: cannot be read ({shortened(why or str(error))})") from error
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
        with open_file(path) as stream:
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


def _checked(data: bytes, name: str) -> bytes:
    if not data:
        raise ImageError(f"{name}: is empty; the upload or the copy may have failed")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name}: more than {MAX_BYTES} bytes; such files are not opened")
    return data


def _from_tensor(tensor: "torch.Tensor", name: str) -> Picture:
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


def _from_array(array: npt.NDArray[Any], name: str) -> Picture:
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
    pixels, assumed = values.as_uint8(array, name)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    elif pixels.shape[2] == 4:
        pixels = decoded(Image.fromarray(pixels, "RGBA"), name).pixels
    return Picture(np.ascontiguousarray(pixels), (assumed,) if assumed else ())
