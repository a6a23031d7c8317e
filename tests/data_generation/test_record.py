"""The record survives what kills a run, an id is a function of what determines the image, a PNG says what it is."""

import dataclasses
import json
import multiprocessing
import struct
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from data_generation import GenerationError, PromptError
from data_generation.record import TXT2IMG, Prompt, PromptFile, Recipe, Row, prompt_id, read_prompts
from data_generation.store import (
    Manifest,
    embedded_recipe,
    encode_png,
    read_folder,
    read_manifest,
    remove_partials,
    store,
)
from facecheck.ledger import encoded


def row(number: int = 0, **recipe) -> Row:
    return Row(Recipe("m", "r", TXT2IMG, number, **recipe), "images/a.png", "00", "ff", (), 1.0, 0.0, None, (), "mit")


def test_the_id_depends_on_every_field():
    usual = Recipe("m", "r", TXT2IMG, 1)
    ids = {usual.id}
    for field in dataclasses.fields(Recipe):
        value = getattr(usual, field.name)
        ids.add(dataclasses.replace(usual, **{field.name: value + ("x" if isinstance(value, str) else 1)}).id)
    assert len(ids) == 1 + len(dataclasses.fields(Recipe))
    assert Recipe("m", "r", TXT2IMG, 1).id == usual.id


def test_rows_come_back_as_they_were(tmp_path):
    written = [row(1, prompt="Frau, 60 Jahre, \u201elächelnd\u201c"), row(2)]
    with Manifest(tmp_path / "manifest.jsonl") as manifest:
        for each in written:
            manifest.append(each)
    assert read_folder(tmp_path) == written
    assert json.loads((tmp_path / "manifest.jsonl").read_text().splitlines()[0])["prompt"] == written[0].recipe.prompt


def test_of_a_row_without_an_age_the_plans_own_cell_tells_a_minor():
    ages = {}
    for cell in ("child-feminine-monk-1-0123abcd", "teenager-x", "young-adult-feminine-monk-1-0123abcd", "c0", ""):
        values = row(1, cell=cell).to_dict()
        del values["age"]
        ages[cell.partition("-")[0]] = Row.from_dict(values).age
    assert ages == {"child": "child", "teenager": "teenager", "young": "", "c0": "", "": ""}
    written = dataclasses.replace(row(1, cell="child-x"), age="elderly")
    assert Row.from_dict(written.to_dict()) == written


def test_a_half_written_line_is_cut_off_and_nothing_else(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as manifest:
        manifest.append(row(1))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert [each.id for each in read_manifest(path)] == [row(1).id]
    with Manifest(path) as manifest:
        manifest.append(row(2))
    assert [each.id for each in read_manifest(path)] == [row(1).id, row(2).id]


def test_nothing_is_written_twice(tmp_path):
    with Manifest(tmp_path / "manifest.jsonl") as manifest:
        manifest.append(row(1))
        with pytest.raises(ValueError, match="already"):
            manifest.append(row(1))


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"id": 1}\n')
    with pytest.raises(GenerationError, match="line 1 is damaged"), Manifest(path):
        pass


def test_a_second_run_is_refused_while_the_first_writes(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path):
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            assert pool.apply(_try, (path,)) == "refused"
    assert _try(path) == "opened"


def _try(path) -> str:
    try:
        with Manifest(path):
            return "opened"
    except GenerationError:
        return "refused"


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(GenerationError, match="python -m data_generation generate"):
        read_folder(tmp_path)


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
    store(encode_png(pixels, RECIPE, {"torch": "2"}, "mit"), tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    said = embedded_recipe(tmp_path / "a.png")
    assert said["id"] == RECIPE.id
    assert Recipe.from_row(said) == RECIPE
    assert (said["versions"], said["licence"]) == ({"torch": "2"}, "mit")


def test_the_xmp_packet_names_the_iptc_source_type():
    packet = chunks(encode_png(np.zeros((8, 8, 3), np.uint8), RECIPE, {}, "mit"))["XML:com.adobe.xmp"].decode()
    name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    values = [element.get(name) for element in ElementTree.fromstring(packet).iter() if element.get(name)]
    assert values == ["http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"]


def test_the_same_recipe_gives_the_same_bytes():
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert encode_png(pixels, RECIPE, {"a": "1"}, "mit") == encode_png(pixels, RECIPE, {"a": "1"}, "mit")


def test_what_a_kill_leaves_is_swept_away(tmp_path):
    store(b"whole", tmp_path / "a.png")
    (tmp_path / ".b.png.123.partial").write_bytes(b"half")
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    remove_partials(tmp_path / "missing")


FIRST = Prompt("a1", "cell", 0, "A photo of a café", "drawing", {"age": "child"}, "template", "v")
SECOND = replace(FIRST, id="a2", ordinal=1)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "new folder" / "prompts.jsonl"
    with PromptFile(path) as file:
        file.append([FIRST, SECOND])
    return path


def test_lines_are_json_objects_that_read_back(path):
    assert read_prompts(path) == [FIRST, SECOND]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == vars(FIRST)


@pytest.mark.parametrize("cut", [1, 2, 40, -1])
def test_a_half_written_last_line_is_cut_off_and_nothing_else(path, cut):
    whole = path.read_bytes()
    line = encoded(vars(FIRST))
    path.write_bytes(whole + line[:cut])
    assert read_prompts(path) == [FIRST, SECOND]
    with PromptFile(path) as file:
        assert file.prompts == [FIRST, SECOND]
        file.append([replace(FIRST, id="a3", ordinal=2)])
    assert path.read_bytes().startswith(whole)
    assert [prompt.id for prompt in read_prompts(path)] == ["a1", "a2", "a3"]


@pytest.mark.parametrize("line", [b"{}\n", b"\n", b"nonsense\n", b'{"id": 1}\n', b"\xff\n"])
def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_changed(path, line):
    damaged = line + path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(PromptError, match="line 1, is not a prompt") as caught:
        PromptFile(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == damaged


def test_the_id_of_a_prompt_depends_on_cell_ordinal_and_text():
    ids = {prompt_id(*each) for each in [("a", 0, "t"), ("b", 0, "t"), ("a", 1, "t"), ("a", 0, "u"), ("a", 0, "t")]}
    assert len(ids) == 4
