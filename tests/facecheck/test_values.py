"""Greys on a narrower scale than their type allows keep their brightness, and what was assumed is said."""

import io

import numpy as np
import pytest
from PIL import Image

from facecheck import image

GREY = np.linspace(0, 255, 24 * 32).reshape(24, 32).round().astype(np.uint8)


def saved(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


FLOATS, TWELVE = Image.fromarray(GREY.astype(np.float32) / 255), GREY.astype(np.uint16) * 16
SOURCES = {
    "float TIFF up to 1": saved(FLOATS, "TIFF"),
    "12 bits in a PNG of 16": saved(Image.fromarray(TWELVE), "PNG"),
    "12 bits in a TIFF of 16": saved(Image.fromarray(TWELVE), "TIFF"),
    "PIL, F up to 1": FLOATS,
    "PIL, F up to 255": Image.fromarray(GREY.astype(np.float32)),
    "PIL, F up to 65535": Image.fromarray(GREY.astype(np.float32) * 257),
    "PIL, I": Image.fromarray(GREY).convert("I"),
    "PIL, I;16": Image.fromarray(GREY.astype(np.uint16)),
    "array of 16 bits, 8 used": GREY.astype(np.uint16),
    "array of 16 bits, 10 used": GREY.astype(np.uint16) * 4,
    "array of 16 bits, 14 used": GREY.astype(np.uint16) * 64,
    "PIL, I above 16 bits": Image.fromarray(GREY.astype(np.int32) * 100_000),
}


@pytest.mark.parametrize("name", SOURCES)
def test_greys_keep_their_brightness_on_any_scale(name):
    found = image.read(SOURCES[name])
    np.testing.assert_allclose(found.pixels[:, :, 1], GREY, atol=2)
    assert bool(found.problems) == (name != "PIL, F up to 65535")
    assert all("read" in problem for problem in found.problems)


def test_sixteen_bits_that_are_all_used_need_no_assumption():
    found = image.read(GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(found.pixels[:, :, 0], GREY)
    assert found.problems == ()


def test_what_is_no_number_is_black():
    odd = FLOATS.copy()
    values = np.asarray(odd).copy()
    values[0, 0], values[0, 1] = np.nan, np.inf
    found = image.read(Image.fromarray(values))
    np.testing.assert_allclose(found.pixels[1:, :, 0], GREY[1:], atol=1)
    assert found.pixels[0, 0, 0] == 0
