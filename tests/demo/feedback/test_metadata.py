"""What a kept picture no longer tells, while its pixels stay as they were."""

import io

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


def test_other_formats_become_the_same_pixels_as_png(grace):
    buffer = io.BytesIO()
    Image.fromarray(grace).save(buffer, "WEBP", lossless=True, exif=b"Exif\0\0SecretPlace")
    after, suffix = without_metadata(buffer.getvalue())
    assert suffix == ".png" and b"Secret" not in after
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(after))), grace)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        without_metadata(b"<html>")
