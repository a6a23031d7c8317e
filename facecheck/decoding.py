"""A file -> the picture in it: which formats are opened, which frame of many is looked at, upright and in RGB.

Only raster formats that Pillow decodes itself, and two that plugins add where they are installed (extra `formats`):
HEIC and HEIF, as iPhones take them, by pillow-heif; and JPEG XL.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError, features

from facecheck import values
from facecheck.errors import ImageError
from facecheck.sanitising import completed, no_warnings, orientation, sanitised, shortened

Pixels = npt.NDArray[np.uint8]

# No EPS (it starts Ghostscript), no PDF, no fonts, no containers of other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA", "ICO")
HEIF, JXL = "HEIF", "JXL"
# Not pi-heif, which lacks the encoder: files run code in the libheif of its last release (CVE-2026-84383).
PLUGINS = {HEIF: "pillow_heif", JXL: "pillow_jxl"}
"""A format -> the module that adds it to Pillow, where that is installed."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
JXL_STARTS = (values.JXL_CODESTREAM, b"\x00\x00\x00\x0cJXL \r\n\x87\n")
CLIP_HEADS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"0&\xb2u\x8ef\xcf\x11")
MULTI_FRAME = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
"""Formats whose frames are views of their own. The second picture of an MPO is a gain map, a depth map or a preview."""
MOST_FRAMES, FRAMES_SEEN, FRAMES_KEPT_PIXELS = 64, 5, 8_000_000
"""Frames that are decoded up to the last one looked at, frames looked at, and pixels of those that are kept."""
# Decoding takes 7 bytes a pixel at its peak: together with torch this stays under 1.5 GiB.
MAX_PIXELS = 80_000_000
BAND_PIXELS, SIDEWAYS = 400_000, (5, 6, 7, 8)
DAMAGED = "get the file again from where it came from"
CUT = "The end of the file is missing; it was read as far as it goes."
DARKER_THAN_14_BITS = 64
ALMOST_FLAT, FLATTER = 4.0, 0.25
"""Grey levels of standard deviation; and how much flatter than another frame the first one may be."""


class Frames(NamedTuple):
    """How many frames a file has, and which are worth a look, best first."""

    total: int
    chosen: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """A picture that was read.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, C-contiguous, upright.
        problems: sentences on what had to be assumed, or was not looked at; empty for a plain picture.
        others: more frames of an animation that are worth a look, each as `pixels`.
        frames: how many the file has.
    """

    pixels: Pixels
    problems: tuple[str, ...] = ()
    others: tuple[Pixels, ...] = ()
    frames: int = 1

    def view(self, turns: int, frame: int | None) -> Pixels:
        """What was judged: another frame, or the picture after quarter turns against the clock, C-contiguous."""
        return np.ascontiguousarray(np.rot90(self.pixels if frame is None else self.others[frame], turns))


def kind_of(data: bytes) -> str | None:
    """The format that only a plugin opens, by the first bytes; None for all others."""
    if data.startswith(JXL_STARTS):
        return JXL
    brands = data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4]), 64), 4))
    is_heif = data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS and not {b"avif", b"avis"} & set(brands)
    return HEIF if is_heif else None


def decode(data: bytes, name: str) -> Picture:
    """The picture in a file.

    Args:
        data: the whole file. name: what messages call it.

    Raises:
        ImageError: it is none, damaged, too large, or would cost more than any picture is worth.
    """
    try:
        data = sanitised(data)
    except ValueError as error:
        raise ImageError(f"{name}: not decoded ({error}); save it again with another program") from error
    with _opened(data, name) as opened:
        found = frames_of(opened) if _is_checked(opened) else Frames(1, (0,))
        if found.total == 1:
            return _of_one(opened, data, name)
    with _opened(data, name) as opened:
        return _of_frames(opened, found, name)


def _of_one(opened: ImageFile.ImageFile, data: bytes, name: str) -> Picture:
    """A picture of one frame; a JPEG that lacks no more than its end is read with one."""
    try:
        return _deepened(decoded(opened, name), orientation(opened), data)
    except ImageError:
        whole = completed(opened, data) if _is_checked(opened) else None
        if whole is None:
            raise
    with _opened(whole, name) as again:
        return replace(decoded(again, name), problems=(CUT,))


def _deepened(picture: Picture, turned: int, data: bytes) -> Picture:
    """A PNG of 16 bits a colour, of which Pillow keeps the upper 8, all again where it uses only a few of them."""
    is_deep = data[12:16] == b"IHDR" and data[24:26] == b"\x10\x02" and int(picture.pixels.max()) < DARKER_THAN_14_BITS
    if not is_deep:
        return picture
    import cv2

    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        return picture
    top, assumed = values.top_of(stored)
    upright = np.empty_like(picture.pixels)
    _as_stored(upright, turned)[:] = values.scaled(stored[:, :, ::-1], top)
    return replace(picture, pixels=upright, problems=(assumed,))


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    try:
        opened = _open(data)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: {error}; reduce it first") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: {what_it_is(data)}") from error
    except Exception as error:  # Decoders raise anything from struct.error to IndexError on crafted headers.
        raise ImageError(f"{name}: its header is damaged ({shortened(str(error))}); {DAMAGED}") from error
    # libjpeg wants an arithmetic-coded file in one piece; Pillow gives it 64 KiB at a time.
    if opened.format in ("JPEG", "MPO"):
        opened.decodermaxblock = max(opened.decodermaxblock, len(data))
    return opened


def _of_frames(opened: Image.Image, found: Frames, name: str) -> Picture:
    """The frame that shows most, and others that are kept if they are small; decoders only go forward safely."""
    chosen, *others = found.chosen
    kept = others[: FRAMES_KEPT_PIXELS // (opened.width * opened.height)]
    pictures: dict[int, Picture] = {}
    room = FRAMES_KEPT_PIXELS
    for place in sorted((chosen, *kept)):
        try:
            opened.seek(place)
            room -= opened.width * opened.height if place != chosen else 0  # Pages of a TIFF differ in size.
            if place == chosen or room >= 0:
                pictures[place] = decoded(opened, name)
        except Exception as error:  # Decoders raise anything.
            if place == chosen:
                raise ImageError(f"{name}: its frames are damaged ({shortened(str(error))}); {DAMAGED}") from error
    picture = pictures.pop(chosen)
    said = f"The file has {found.total} frames; number {chosen + 1} was judged, {len(found.chosen)} were looked at."
    more = tuple(pictures[place].pixels for place in kept if place in pictures)
    return replace(picture, problems=(said, *picture.problems), others=more, frames=found.total)


def _is_checked(picture: Image.Image) -> bool:
    """Whether a picture has an area, and none that is too large."""
    return 0 < picture.width * picture.height <= MAX_PIXELS


def decoded(picture: Image.Image, name: str) -> Picture:
    """An open picture, the frame that it stands at, upright and in RGB.

    Raises:
        ImageError: it has no area, is too large, damaged, truncated or closed.
    """
    width, height = picture.size
    if not width or not height:
        raise ImageError(f"{name}: is {width}x{height} pixels, it has no area")
    if not _is_checked(picture):
        raise ImageError(
            f"{name}: {width}x{height} pixels is more than {MAX_PIXELS} (a decompression bomb?); reduce it first"
        )
    try:
        picture.load()
        width, height = picture.size  # Pillow turns TIFFs upright itself, now.
        turned = orientation(picture)
        upright = np.empty((width, height, 3) if turned in SIDEWAYS else (height, width, 3), dtype=np.uint8)
        stored = _as_stored(upright, turned)
        is_plain = picture.mode == "RGB" and not {"icc_profile", "transparency"} & picture.info.keys()
        convert, assumed = (lambda band: band, "") if is_plain else values.converter(picture)
        for top, band in _bands(picture):
            stored[top : top + band.height] = np.asarray(convert(band))
    except Exception as error:  # As above: any decoder, any exception.
        if "closed" in str(error):
            raise ImageError(f"{name}: the PIL image is closed; pass it before it is, or open it again") from error
        raise ImageError(f"{name}: damaged or truncated ({shortened(str(error))}); {DAMAGED}") from error
    return Picture(upright, (assumed,) if assumed else ())


def _bands(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in horizontal bands, so that converting a huge one needs no second and third copy of it."""
    rows = max(BAND_PIXELS // picture.width, 1)
    for top in range(0, picture.height, rows):
        yield top, picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view of an upright picture as its file stores it, for EXIF orientations 2 to 8; others are upright."""
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return upright.transpose(1, 0, 2) if orientation in SIDEWAYS else upright


def _open(data: bytes) -> ImageFile.ImageFile:
    """The picture in a file, its header read and nothing decoded.

    Raises:
        UnidentifiedImageError: it is none; anything else: its header is damaged.
    """
    kind = kind_of(data)
    if kind is not None and not installed(kind):
        raise UnidentifiedImageError(kind)
    if kind == JXL and values.jxl_pixels(data) > MAX_PIXELS:  # The plugin decodes as it opens.
        raise Image.DecompressionBombError(f"more than {MAX_PIXELS} pixels")
    with no_warnings:
        Image.init()
        return Image.open(io.BytesIO(data), formats=[kind] if kind else FORMATS)


def installed(kind: str) -> bool:
    """Whether a plugin for a format is there; it is registered with Pillow."""
    try:
        plugin = import_module(PLUGINS[kind])
    except ImportError:
        return False
    if kind == HEIF:
        plugin.register_heif_opener(thumbnails=False)
    return True


def readable() -> dict[str, bool]:
    """Every format that facecheck knows -> whether it can be read here."""
    codecs = {"JPEG": "jpg", "JPEG2000": "jpg_2000", "WEBP": "webp", "AVIF": "avif"}
    return {name: name not in codecs or bool(features.check(codecs[name])) for name in FORMATS} | {
        name: installed(name) for name in PLUGINS
    }


def what_it_is(data: bytes) -> str:
    """Of a file that holds no picture that can be decoded: what it is, and what to do."""
    if kind := kind_of(data):
        name = "HEIC/HEIF" if kind == HEIF else "JPEG XL"
        if not installed(kind):
            return f"{name} needs a plugin: pip install 'facecheck[formats]', or save it as JPEG"
        return f"{name} that cannot be decoded; save it as JPEG"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF that cannot be decoded; save it as JPEG"
    if data[4:8] == b"ftyp" or data.startswith(CLIP_HEADS) or (data[:4], data[8:12]) == (b"RIFF", b"AVI "):
        return "a video; `facecheck scan` judges the people in it"
    return f"not a picture, or a format that is not supported (supported: {', '.join((*FORMATS, *PLUGINS))})"


def frames_of(picture: Image.Image) -> Frames:
    """Which frames of an open picture show something: the first, unless it is much flatter than a later one.

    An animation that fades in begins with a black frame. A few frames are looked at, evenly over the first
    `MOST_FRAMES`, or over as many as have no more pixels together than one large picture.
    """
    count = int(getattr(picture, "n_frames", 1)) if picture.format in MULTI_FRAME else 1
    if count < 2:
        return Frames(1, (0,))
    last = max(min(count, MOST_FRAMES, MAX_PIXELS // max(picture.width * picture.height, 1)), 1) - 1
    places = sorted({last * index // (FRAMES_SEEN - 1) for index in range(FRAMES_SEEN)})
    spreads = dict(_spreads(picture, places))
    best = max(spreads.values(), default=0.0)
    is_flat = spreads.get(0, 0.0) < max(FLATTER * best, ALMOST_FLAT)
    by_spread = sorted(spreads, key=lambda place: -spreads[place])
    return Frames(count, tuple(by_spread if is_flat and best > ALMOST_FLAT else dict.fromkeys((0, *by_spread))))


def _spreads(picture: Image.Image, places: list[int]) -> Iterator[tuple[int, float]]:
    """The standard deviation of the greys of each frame that can be read, while they are not too large together."""
    room = MAX_PIXELS
    for place in places:
        try:
            picture.seek(place)
            if picture.width * picture.height > room:
                continue
            room -= picture.width * picture.height
            small = picture.convert("RGBA").reduce(max(min(picture.size) // 64, 1)).convert("L")
        except Exception:  # Of a damaged frame: decoders raise anything.
            return
        yield place, float(np.asarray(small).std())
