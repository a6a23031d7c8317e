"""What a kept picture no longer tells, while its pixels stay as they were."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from demo.feedback.metadata import without_metadata
from facecheck.errors import ImageError


def phone_photo(picture: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "SecretCamera"
    exif.get_ifd(0x8825)[2] = (47.0, 22.0, 11.0)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80, exif=exif, comment=b"SecretComment", icc_profile=b"icc")
    return buffer.getvalue() + b"SecretFilm"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_keeps_its_compressed_pixels_and_orientation_only(grace, orientation):
    before = phone_photo(grace, orientation)
    after, suffix = without_metadata(before)
    assert suffix == ".jpg"
    assert b"Secret" in before and b"Secret" not in after
    opened = Image.open(io.BytesIO(after))
    assert set(opened.getexif()) <= {0x0112}
    assert opened.info["icc_profile"] == b"icc"
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(before)))
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(opened)), np.asarray(expected))


def segment(app: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, app, len(body) + 2) + body


def jpeg(picture: np.ndarray, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, "JPEG", quality=80, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_what_is_appended_goes_also_where_it_ends_like_a_picture(grace):
    plain = jpeg(grace)
    for appended in (phone_photo(grace, 1), b"SecretFilm\xff\xd9SecretFilm\xff\xd9"):
        assert without_metadata(plain + appended) == without_metadata(plain) == (plain, ".jpg")


@pytest.mark.parametrize(
    "body",
    [
        (0xE0, b"JFXX\0\x10Secret"),
        (0xE0, b"JFIF\0\1\2\0\0\1\0\1\1\2Secret"),
        (0xE2, b"Secret"),
        (0xEE, b"Secret"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1Secret"),
        (0xEB, b"Secret"),
        (0xFE, b"Secret"),
    ],
)
def test_previews_indices_and_what_nobody_knows_go(grace, body):
    plain = jpeg(grace)
    for filling in (b"", b"\xff\xff"):
        data = plain[:2] + filling + segment(*body) + plain[2:]
        after, suffix = without_metadata(data)
        assert suffix == ".jpg" and b"Secret" in data and b"Secret" not in after
        assert np.array_equal(pixels(after), pixels(plain))


def test_of_several_pictures_in_one_file_the_first_is_kept_without_their_index(grace, cat):
    buffer = io.BytesIO()
    Image.fromarray(grace).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(cat)])
    after, suffix = without_metadata(buffer.getvalue())
    assert suffix == ".jpg" and b"MPF" in buffer.getvalue() and b"MPF" not in after
    assert after.count(b"\xff\xd8\xff") == 1 and np.array_equal(pixels(after), pixels(buffer.getvalue()))


def test_a_progressive_jpeg_keeps_every_scan_and_nothing_between_them(grace):
    plain = jpeg(grace, progressive=True)
    first, *scans = plain.split(b"\xff\xda")
    secrets = segment(0xFE, b"SecretComment") + segment(0xE1, b"Exif\0\0SecretPlace")
    data = first + b"".join(secrets + b"\xff\xda" + scan for scan in scans)
    assert len(scans) > 5 and np.array_equal(pixels(data), pixels(plain))
    assert without_metadata(data + phone_photo(grace, 6)) == (plain, ".jpg")


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"mode": "CMYK"}, {"mode": "L"}])
def test_restarts_and_other_colours_survive_bit_for_bit(grace, options):
    plain = jpeg(grace, **options)
    assert without_metadata(plain) == (plain, ".jpg")


def test_a_jpeg_whose_end_cannot_be_found_becomes_its_pixels(grace):
    plain = jpeg(grace)
    after, suffix = without_metadata(plain[:-2] + b"SecretFilm")
    assert suffix == ".png" and b"Secret" not in after and np.array_equal(pixels(after), pixels(plain))


@pytest.mark.parametrize(("kind", "value"), [(2, b"Secret text"), (3, b"\0\0"), (3, b"\0\x09"), (4, b"\0\1\0\6")])
def test_an_orientation_that_is_none_goes(grace, kind, value):
    plain = jpeg(grace)
    count = len(value) if kind == 2 else 1
    place = struct.pack(">I", 26) if len(value) > 4 else value.ljust(4, b"\0")
    tags = b"MM\0*" + struct.pack(">IHHHI", 8, 1, 0x0112, kind, count) + place + bytes(4) + value
    assert without_metadata(plain[:2] + segment(0xE1, b"Exif\0\0" + tags) + plain[2:]) == (plain, ".jpg")


def test_other_formats_become_the_same_pixels_as_png(grace):
    buffer = io.BytesIO()
    Image.fromarray(grace).save(buffer, "WEBP", lossless=True, exif=b"Exif\0\0SecretPlace")
    after, suffix = without_metadata(buffer.getvalue())
    assert suffix == ".png" and b"Secret" not in after
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(after))), grace)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        without_metadata(b"<html>")
