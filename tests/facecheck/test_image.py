"""Any input becomes the pixels that Pillow sees; anything else becomes an ImageError that says what to do."""

import base64
import io
import os
import stat
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from facecheck import image
from facecheck.errors import ImageError

RNG = np.random.default_rng(0)
PHOTO = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8)).resize((32, 24), Image.Resampling.BICUBIC)
)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA"])
def test_formats_decode_as_pillow_does(kind):
    data = encoded(Image.fromarray(PHOTO), kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(image.load(data), expected)


def test_every_way_to_name_a_picture(tmp_path):
    data = encoded(Image.fromarray(PHOTO), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    with path.open("rb") as stream:
        for source in (str(path), path, data, bytearray(data), memoryview(data), stream, io.BytesIO(data), url):
            np.testing.assert_array_equal(image.load(source), PHOTO)
    np.testing.assert_array_equal(image.load(Image.fromarray(PHOTO)), PHOTO)


@pytest.mark.parametrize("container", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation, container):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(PHOTO), container, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    loaded = image.load(data)
    np.testing.assert_array_equal(loaded, expected)
    assert loaded.flags.c_contiguous


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_modes_convert_as_pillow_does(mode):
    picture = Image.fromarray(PHOTO).convert(mode)
    np.testing.assert_array_equal(image.load(picture), np.asarray(picture.convert("RGB")))


def test_sixteen_bit_greys_keep_their_brightness():
    grey = (np.arange(24 * 32).reshape(24, 32) * 85).astype(np.uint16)
    for source in (encoded(Image.fromarray(grey), "PNG"), encoded(Image.fromarray(grey), "TIFF"), grey):
        np.testing.assert_array_equal(image.load(source)[:, :, 1], grey >> 8)
    np.testing.assert_array_equal(image.load(Image.fromarray(grey.astype(np.int32)))[:, :, 1], grey >> 8)
    np.testing.assert_array_equal(image.load(Image.fromarray((grey >> 8).astype(np.float32)))[:, :, 0], grey >> 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(mode):
    alpha = Image.fromarray(PHOTO).convert(mode)
    alpha.putalpha(0)
    assert (image.load(encoded(alpha, "PNG")) == 255).all()


def test_transparent_palette_is_laid_over_white():
    palette = Image.fromarray(PHOTO).quantize(16)
    data = encoded(palette, "PNG", transparency=int(np.asarray(palette)[0, 0]))
    assert (image.load(data)[0, 0] == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert image.load(data)[8, 8].argmax() == 0


def test_mpo_gives_its_first_picture():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert image.load(data)[8, 8].argmax() == 0


def test_arrays_and_tensors():
    rgba = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
    same = [
        PHOTO, PHOTO / 255, (PHOTO / 255).astype(np.float16), rgba, PHOTO[:, ::-1][:, ::-1],
        torch.from_numpy(PHOTO.copy()).permute(2, 0, 1), torch.from_numpy(PHOTO / 255).permute(2, 0, 1),
        torch.from_numpy(PHOTO / 255).permute(2, 0, 1).to(torch.float32).requires_grad_(),
    ]  # fmt: skip
    for source in same:
        np.testing.assert_array_equal(image.load(source), PHOTO)
    grey = PHOTO[:, :, 0]
    for source in (grey, grey[:, :, None], torch.from_numpy(grey.copy()), torch.from_numpy(grey.copy())[None]):
        np.testing.assert_array_equal(image.load(source), np.repeat(grey[:, :, None], 3, axis=2))
    assert image.load(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello world, this is not a picture", "not a picture"),
    "heic": (b"\0\0\0\x18ftypheic" + b"\0" * 64, "HEIC"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    "truncated": (encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)), "JPEG")[:900], "truncated"),
    "bomb": (png_header(60_000, 60_000), "reduce it"),
    "large": (png_header(13_000, 13_000), "reduce it"),
    "incomplete": (png_header(100, 100), "damaged"),
    "missing": ("no/such/file.jpg", "no such file"),
    "url": ("https://example.org/a.jpg", "downloads nothing"),
    "nul in path": ("a\0b.jpg", "cannot be read|no such file"),
    "data url": ("data:image/png;base64,@@@", "data URL"),
    "plain data url": ("data:,hello", "data URL"),
    "text file": (io.StringIO("abc"), "mode 'rb'"),
    "none": (None, "NoneType"),
    "flat": (np.zeros(12), "an array picture is"),
    "channels first": (np.zeros((3, 20, 20)), "transpose"),
    "batch": (torch.zeros(2, 3, 8, 8), r"list\(batch\)"),
    "channels last tensor": (torch.zeros(20, 20, 3), "permute"),
    "no area": (np.zeros((0, 5, 3), np.uint8), "no area"),
    "no area pil": (Image.new("RGB", (0, 5)), "no area"),
    "wide floats": (PHOTO.astype(float), "divide by 255"),
    "nan": (np.full((4, 4), np.nan), "divide by 255"),
    "integers": (PHOTO.astype(np.int64), "pass uint8"),
    "words": (np.array([["a", "b"]]), "pass uint8"),
    "names": (np.array(["a.jpg", "b.jpg"]), "tolist"),
    "clip": (b"\0\0\0\x18ftypisom" + b"\0" * 64, "a video; `facecheck scan`"),
    "avi": (b"RIFF\0\0\0\0AVI LIST" + b"\0" * 64, "a video; `facecheck scan`"),
    "file address": ("file:///tmp/a.jpg", "without file://"),
    "bucket": ("S3://bucket/a.jpg", "downloads nothing"),
    "no path": ("", "an empty path"),
    "base64": ("A" * 80_000, "data:image"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_image_error_that_names_the_remedy(name):
    source, message = BAD[name]
    with pytest.raises(ImageError, match=message):
        image.load(source)


def test_no_message_quotes_more_than_a_line_of_its_input(tmp_path):
    long = "A" * 3000
    for source in (long, Path(long), "data:" + long, f"https://{long}", tmp_path / "b" / ("x" * 240) / ("y" * 240)):
        with pytest.raises(ImageError) as caught:
            image.load(source)
        assert len(str(caught.value)) < 400


def test_what_was_used_up_or_closed_says_so(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(PHOTO), "PNG"))
    with path.open("rb") as stream:
        stream.read()
        with pytest.raises(ImageError, match="seek"):
            image.load(stream)
    with Image.open(path) as lazy, Image.open(path) as read:
        read.load()
    for picture in (lazy, read):
        picture.close()
        with pytest.raises(ImageError, match="closed"):
            image.load(picture)


def test_a_file_that_grows_is_not_read_without_end(tmp_path, monkeypatch):
    path = tmp_path / "growing.jpg"
    path.write_bytes(b"x" * 20)
    monkeypatch.setattr(image, "MAX_BYTES", 10)
    monkeypatch.setattr(image.os, "fstat", lambda _: os.stat_result((stat.S_IFREG,) + (0,) * 5 + (5,) + (0,) * 3))
    with pytest.raises(ImageError, match="11 bytes"):
        image.load(path)


def test_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(ImageError, match="is a folder"):
        image.load(tmp_path)
    with pytest.raises(ImageError, match="not a regular file"):
        image.load("/dev/null")


def test_large_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "MAX_BYTES", 10)
    path = tmp_path / "large.jpg"
    path.write_bytes(b"x" * 11)
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(ImageError, match="not opened"):
            image.load(source)


def test_huge_arrays_are_refused(monkeypatch):
    monkeypatch.setattr(image, "MAX_PIXELS", 10)
    with pytest.raises(ImageError, match="reduce it"):
        image.load(PHOTO)


def test_the_name_of_an_input_is_short():
    assert image.describe("data:image/png;base64," + "A" * 9999).endswith("characters)")
    assert image.describe(Path("a.jpg")) == "a.jpg"
    assert image.describe(b"abc") == "<3 bytes>"
    assert image.describe(PHOTO) == "<ndarray uint8 (24, 32, 3)>"
    assert image.describe(torch.zeros(3, 2, 2)) == "<Tensor torch.float32 (3, 2, 2)>"
    assert image.describe(Image.new("L", (2, 3))) == "<PIL image L 2x3>"


def test_a_broken_exif_block_does_not_hide_the_pixels():
    data = encoded(Image.fromarray(PHOTO), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert image.load(data).shape == PHOTO.shape


def test_uploads_have_the_name_that_their_framework_gives(tmp_path):
    class Upload(io.BytesIO):
        def __init__(self, **names):
            super().__init__()
            self.__dict__.update(names)

    assert image.describe(Upload(filename="flask.jpg", name="the field of the form")) == "flask.jpg"
    assert image.describe(Upload(name="django.jpg")) == "django.jpg"
    assert image.describe(Upload(name=7)) == image.describe(Upload(name=None)) == "<Upload>"
    with tempfile.TemporaryFile() as numbered, tempfile.SpooledTemporaryFile() as spooled:
        assert image.describe(numbered) == f"<{type(numbered).__name__}>"
        assert image.describe(spooled) == "<SpooledTemporaryFile>"
    with (tmp_path / "a.jpg").open("wb") as named:
        assert image.describe(named) == str(tmp_path / "a.jpg")


def test_an_upload_of_fastapi_is_read_though_it_is_asynchronous(tmp_path):
    datastructures = pytest.importorskip("starlette.datastructures", reason="needs FastAPI (the demo extra)")
    Image.new("RGB", (7, 5), "red").save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as stream:
        upload = datastructures.UploadFile(stream, filename="photo.png")
        assert image.load(upload).shape == (5, 7, 3)
        assert image.describe(upload) == "photo.png"
