"""A master says what it is to anybody who reads PNG."""

import struct
import zlib
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from data_generation.png import embedded_recipe, encode, remove_partials, store
from data_generation.record import TXT2IMG, Recipe

RECIPE = Recipe("owner/model", "abc", TXT2IMG, 7, prompt="a face, “quoted”", width=8, height=8)


def chunks(content: bytes) -> dict[str, bytes]:
    """By the PNG specification, not by Pillow."""
    place, found = 8, {}
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        assert struct.unpack(">I", content[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + data)
        if kind == b"iTXt":
            found[data.split(b"\0", 1)[0].decode()] = data.split(b"\0", 5)[5]
        place += 12 + length
    return found


def test_pixels_are_lossless_and_the_recipe_travels_with_them(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    store(encode(pixels, RECIPE, {"torch": "2"}, "mit"), tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    said = embedded_recipe(tmp_path / "a.png")
    assert said["id"] == RECIPE.id
    assert Recipe.from_row(said) == RECIPE
    assert (said["versions"], said["licence"]) == ({"torch": "2"}, "mit")


def test_the_xmp_packet_names_the_iptc_source_type():
    packet = chunks(encode(np.zeros((8, 8, 3), np.uint8), RECIPE, {}, "mit"))["XML:com.adobe.xmp"].decode()
    name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    values = [element.get(name) for element in ElementTree.fromstring(packet).iter() if element.get(name)]
    assert values == ["http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"]


def test_the_same_recipe_gives_the_same_bytes():
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert encode(pixels, RECIPE, {"a": "1"}, "mit") == encode(pixels, RECIPE, {"a": "1"}, "mit")


def test_what_a_kill_leaves_is_swept_away(tmp_path):
    store(b"whole", tmp_path / "a.png")
    (tmp_path / ".b.png.123.partial").write_bytes(b"half")
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    remove_partials(tmp_path / "missing")
