"""Every format that phones and newsrooms use, as its owner sees it: frames, profiles, a missing end."""

import base64
import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from facecheck import decoding, image
from facecheck.batching import decode
from facecheck.errors import ImageError

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAghtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAEZpbG9jAA"
    "AAAERAAAMAAQAAAAACLAABAAAAAAAAADAAAgAAAAACXAABAAAAAAAAAEAAAwAAAAACnAABAAAAAAAAANkAAABiaWluZgAAAAAAAwAAABVpbmZl"
    "AgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAACppbmZlAgAAAQADAABtaW1lAGFwcGxpY2F0aW9uL3JkZit4bWwAAAAAAA5waX"
    "RtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroC"
    "QGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFG"
    "lzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAADAAAAABAAAAQAAAAAH////wAAAAAgAAAAAAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAA"
    "AAAAAAEAAQWBAgMFhAAAAChpcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAADmNkc2MAAwABAAEAAAFRbWRhdAAAACwoAa9Y8krz/ofc2n9fedyCtx"
    "j3D8WiiaCxMW2a9IGnp+5id0N3JF2uwXIiWAAAAAZFeGlmAABNTQAqAAAACAACAQ8AAgAAAAYAAAAmARAAAgAAAAoAAAAsAAAAAEFwcGxlAGlQ"
    "aG9uZSAxNgA8eDp4bXBtZXRhIHhtbG5zOng9ImFkb2JlOm5zOm1ldGEvIj48cmRmOlJERiB4bWxuczpyZGY9Imh0dHA6Ly93d3cudzMub3JnLz"
    "E5OTkvMDIvMjItcmRmLXN5bnRheC1ucyMiPjxyZGY6RGVzY3JpcHRpb24geG1sbnM6cD0iaHR0cDovL25zLmFkb2JlLmNvbS9waG90b3Nob3Av"
    "MS4wLyIgcDpDcmVkaXQ9Ik1hZGUgd2l0aCBHb29nbGUgQUkiLz48L3JkZjpSREY+PC94OnhtcG1ldGE+"
)
"""A gradient of 48 x 64 pixels under a red bar, with EXIF of an iPhone and XMP that names Google AI."""
PHOTO = Image.linear_gradient("L").resize((96, 64)).convert("RGB")


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def animation(kind: str, *frames: Image.Image) -> bytes:
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


BLACK = Image.new("RGB", PHOTO.size)


def test_heic_is_read_with_what_it_says():
    pytest.importorskip("pillow_heif", reason="pip install 'facecheck[formats]'")
    item = decode(HEIC)
    assert item.pixels.shape == (64, 48, 3)
    assert item.pixels[2, 24].argmax() == 0 and item.pixels[40, 24, 0] < item.pixels[60, 24, 0]
    assert item.provenance.format == "HEIF"
    assert set(item.provenance.claims) == {"generated", "photographed"}
    assert item.problems == ()


def test_jpeg_xl_is_read_with_what_it_says():
    pytest.importorskip("pillow_jxl", reason="pip install 'facecheck[formats]'")
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Canon", 6
    for options in ({"use_container": True, "exif": exif.tobytes()}, {"lossless": True}):
        item = decode(saved(PHOTO, "JXL", **options))
        assert item.provenance.format == "JXL"
        if "exif" in options:
            assert item.provenance.claims == ("photographed",)
            assert item.pixels.shape == (64, 96, 3)  # The codestream says how it lies, EXIF does not.
        else:
            np.testing.assert_array_equal(item.pixels, np.asarray(PHOTO))


def test_a_jpeg_xl_bomb_is_refused_before_it_is_decoded(monkeypatch):
    pytest.importorskip("pillow_jxl", reason="pip install 'facecheck[formats]'")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 96 * 64 - 1)
    for container in (True, False):
        with pytest.raises(ImageError, match="reduce it"):
            image.load(saved(PHOTO, "JXL", use_container=container))


def test_without_the_plugin_it_says_which(monkeypatch):
    for name in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImageError, match=r"HEIC/HEIF needs a plugin: pip install 'facecheck\[formats\]'"):
        image.load(HEIC)
    with pytest.raises(ImageError, match="JPEG XL needs a plugin"):
        image.load(b"\xff\x0a" + bytes(20))
    assert decoding.readable()["HEIF"] is False and decoding.readable()["JPEG"] is True


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_that_fades_in_shows_the_frame_that_shows_something(kind):
    found = image.read(animation(kind, BLACK, PHOTO, PHOTO.point(lambda v: v // 2), PHOTO.point(lambda v: v // 3)))
    assert np.abs(found.pixels.astype(int) - np.asarray(PHOTO)).mean() < 8
    assert found.frames == 4 and len(found.others) == 3
    assert "number 2 was judged" in found.problems[0] and "4 frames" in found.problems[0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_that_begins_well_shows_its_first_frame(kind):
    found = image.read(animation(kind, PHOTO, PHOTO.rotate(180), BLACK))
    assert np.abs(found.pixels.astype(int) - np.asarray(PHOTO)).mean() < 8
    assert "number 1 was judged" in found.problems[0]


def test_the_second_picture_of_a_phone_is_no_frame():
    found = image.read(animation("MPO", BLACK, PHOTO))
    assert found.pixels.max() < 8 and found.frames == 1 and found.problems == ()


def test_many_frames_cost_no_more_than_some(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_FRAMES", 6)
    frames = [BLACK] * 30 + [PHOTO]
    found = image.read(
        animation("GIF", *[frame.point(lambda v, i=i: min(v + i, 255)) for i, frame in enumerate(frames)])
    )
    assert found.frames == 31 and "5 were looked at" in found.problems[0]


def test_pages_that_grow_cost_no_more_than_one_large_picture(monkeypatch):
    """The first page of a TIFF says nothing of the size of the others."""
    monkeypatch.setattr(decoding, "MAX_PIXELS", 2 * 400 * 400)
    monkeypatch.setattr(decoding, "FRAMES_KEPT_PIXELS", 400 * 400)
    large = PHOTO.resize((400, 400))
    found = image.read(animation("TIFF", PHOTO.resize((8, 8)), *[large.rotate(turn) for turn in (0, 90, 180, 270)]))
    assert found.frames == 5 and "2 were looked at" in found.problems[0]
    assert [other.shape for other in found.others] == [(400, 400, 3)]


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
def test_a_jpeg_without_its_last_bytes_is_read_as_browsers_do(options, cut):
    whole = saved(PHOTO.resize((640, 480)), "JPEG", **options)
    found = image.read(whole[:-cut])
    np.testing.assert_array_equal(found.pixels, image.load(whole))
    assert found.problems == (decoding.CUT,)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_of_which_half_is_missing_is_an_error(options):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
    whole = saved(noise, "JPEG", **options)
    with pytest.raises(ImageError, match="truncated"):
        image.load(whole[: len(whole) // 3])


def rgb_profile(gamma: float) -> bytes:
    """A profile with the primaries of sRGB and another curve, as its name says."""
    whole = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at, size = next(
        (int.from_bytes(whole[p + 4 : p + 8]), int.from_bytes(whole[p + 8 : p + 12]))
        for p in range(132, 132 + 12 * whole[131], 12)
        if whole[p : p + 4] == b"rTRC"
    )
    whole[at : at + size] = (b"curv" + bytes(4) + (1).to_bytes(4) + int(gamma * 256).to_bytes(2)).ljust(size, b"\0")
    return bytes(whole).replace("sRGB".encode("utf-16-be"), "odd ".encode("utf-16-be")).replace(b"sRGB", b"odd ")


def test_colours_are_those_of_the_profile():
    plain, linear = Image.new("RGB", (16, 16), (60, 120, 180)), rgb_profile(1.0)
    for kind in ("PNG", "TIFF"):
        shown = image.load(saved(plain, kind, icc_profile=linear))[8, 8]
        expected = ImageCms.profileToProfile(
            plain, ImageCms.ImageCmsProfile(io.BytesIO(linear)), ImageCms.createProfile("sRGB")
        )
        np.testing.assert_allclose(shown, np.asarray(expected)[8, 8], atol=1)
        assert shown[0] > 100
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(image.load(saved(plain, "PNG", icc_profile=srgb))[8, 8], (60, 120, 180))


def test_a_damaged_profile_is_told_and_costs_nothing():
    found = image.read(saved(Image.new("RGB", (16, 16), "teal"), "PNG", icc_profile=b"rubbish" * 40))
    assert tuple(found.pixels[8, 8]) == (0, 128, 128)
    assert "profile is damaged" in found.problems[0]


def test_lab_is_shown_in_colour():
    red = ImageCms.profileToProfile(
        Image.new("RGB", (8, 8), (200, 30, 30)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    shown = image.load(saved(red, "TIFF"))[4, 4]
    np.testing.assert_allclose(shown, (200, 30, 30), atol=6)


def test_an_avif_sequence_shows_the_frame_that_shows_something():
    found = image.read(animation("AVIF", BLACK, PHOTO, PHOTO.point(lambda v: v // 2)))
    assert found.frames == 3 and "number 2 was judged" in found.problems[0]
    assert np.abs(found.pixels.astype(int) - np.asarray(PHOTO)).mean() < 8


def test_twelve_bits_in_colour_keep_their_brightness():
    import cv2

    grey = np.linspace(0, 4095, 64 * 64).reshape(64, 64).round().astype(np.uint16)
    stored = np.dstack([grey, grey[::-1], grey])
    found = image.read(cv2.imencode(".png", stored)[1].tobytes())
    np.testing.assert_allclose(found.pixels[:, :, 0], grey / 4095 * 255, atol=1)
    np.testing.assert_allclose(found.pixels[:, :, 1], grey[::-1] / 4095 * 255, atol=1)
    assert "12 bits" in found.problems[0]
    full = image.read(cv2.imencode(".png", stored * 16)[1].tobytes())
    assert full.problems == ()


def test_an_avif_of_impossible_size_is_called_no_video():
    avif = saved(PHOTO, "AVIF")
    claimed = avif.replace(struct.pack(">II", *PHOTO.size), struct.pack(">II", 65535, 65535))
    with pytest.raises(ImageError, match="AVIF that cannot be decoded"):
        image.load(claimed)
