"""The export is what `training prepare` reads, balanced, and split so that nothing leaks.

Half of the images teach, the other half asks: no group stands in both.
"""

import dataclasses
import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner
from PIL import Image

from data_generation import GenerationError
from data_generation.cli import main
from data_generation.gate import judge
from data_generation.record import TXT2IMG, VAE, Recipe, Row
from data_generation.synthesis.conditioning import listed
from data_generation.teach import Dealer, export, group_of, halves, split_of, teach
from facecheck import image
from training.faces.layouts import recognise


def lines(out):
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def test_training_recognises_the_export(recorded, photos, tmp_path):
    folder, rows = recorded
    done = export(folder, rows, judge(rows), tmp_path / "out", sorted(photos.iterdir()))
    found = recognise(tmp_path / "out")
    fakes = [photo for photo in found.photos if photo.label == "fake"]
    reals = [photo for photo in found.photos if photo.label == "real"]
    assert len(fakes) == len(reals) == 2
    assert {photo.generator for photo in fakes} == {"owner/Model XL"}
    assert {photo.source for photo in fakes} == {"owner-model-xl"}
    assert {photo.source for photo in reals} == {"portraits"}
    assert {photo.licence for photo in fakes} == {"mit"}
    assert all(photo.path.is_file() and photo.group and photo.split for photo in found.photos)
    assert sum(done.counts.values()) == 4
    assert {image.load(photo.path).shape for photo in reals} == {(600, 512, 3), (512, 512, 3)}


def test_photographs_are_drawn_by_their_bytes_and_faceless_ones_are_refused(recorded, photos, tmp_path):
    folder, rows = recorded
    paths = sorted(photos.iterdir())
    done = export(folder, rows, judge(rows), tmp_path / "a", paths)
    export(folder, rows, judge(rows), tmp_path / "b", paths[::-1])
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    assert done.counts.total() - 2 == 2
    only_wall = export(folder, rows, judge(rows), tmp_path / "c", [photos / "wall.png"])
    assert only_wall.refused == 1
    assert {line["label"] for line in lines(tmp_path / "c")} == {"fake"}


def test_a_cell_stands_in_one_split_and_a_later_export_moves_nothing():
    recipes = [Recipe("m", "r", TXT2IMG, i, prompt_id=f"p{i}", cell=f"c{i // 3}") for i in range(300)]
    splits = {}
    for recipe in recipes:
        splits.setdefault(recipe.cell, set()).add(split_of(group_of(_row(recipe))))
    assert all(len(found) == 1 for found in splits.values())
    counts = [sum(found == {name} for found in splits.values()) for name in ("train", "val", "test")]
    assert counts[0] > counts[1] > 0
    assert counts[2] > 5


def _row(recipe):
    return Row(recipe, "images/a.png", "0", "0", (), 50.0, 0.0, None, (), "mit")


def test_a_pair_brings_its_own_photograph_into_its_own_group(recorded, tmp_path):
    folder, rows = recorded
    keep = next(row for row in rows if not judge(rows)[row.id])
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    recipe = dataclasses.replace(keep.recipe, mode=VAE, photo="ab" * 32)
    pair = dataclasses.replace(keep, recipe=recipe, pair="photo.png")
    export(folder, [pair], {pair.id: ()}, tmp_path / "out")
    fake, real = lines(tmp_path / "out")
    assert (fake["label"], real["label"]) == ("fake", "real")
    assert fake["group"] == real["group"] == "ab" * 32
    assert fake["split"] == real["split"]


def test_known_fakes_of_a_labelled_folder_are_no_photographs(recorded, photos, tmp_path):
    folder, _ = recorded
    for label, name in (("real", "grace.jpg"), ("fake", "astronaut.png")):
        (tmp_path / "labelled" / label).mkdir(parents=True)
        shutil.copy(photos / name, tmp_path / "labelled" / label)
    words = ["export", str(folder), str(tmp_path / "out"), "--real", str(tmp_path / "labelled")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "1 pictures left out: they are called fake" in done.output
    (real,) = [line["file"] for line in lines(tmp_path / "out") if line["label"] == "real"]
    assert (tmp_path / "out" / real).read_bytes() == (photos / "grace.jpg").read_bytes()
    only_fakes = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "labelled" / "fake")])
    assert only_fakes.exit_code == 1
    assert "holds no photograph: all of its 1 pictures are called fake" in only_fakes.output


def test_a_table_of_numbers_is_no_word_for_photographs(photos, tmp_path):
    (tmp_path / "manifest.csv").write_text("file,label\ngrace.jpg,1\nastronaut.png,0\n")
    for name in ("grace.jpg", "astronaut.png"):
        shutil.copy(photos / name, tmp_path)
    with pytest.raises(GenerationError, match="does not say in words"):
        listed(tmp_path)
    (tmp_path / "manifest.csv").unlink()
    assert [path.name for path in listed(tmp_path).paths] == ["astronaut.png", "grace.jpg"]


def test_nothing_accepted_and_a_foreign_folder_are_refused(recorded, tmp_path):
    folder, rows = recorded
    with pytest.raises(GenerationError, match="accepted none of 4"):
        export(folder, rows, {row.id: ("blank",) for row in rows}, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("x")
    with pytest.raises(GenerationError, match="name a new folder"):
        export(folder, rows, judge(rows), tmp_path / "mine")


def rows(count: int, each: int = 1) -> list[Row]:
    row = Row(Recipe("m", "r", TXT2IMG, 0), "a.png", "0", "0", (), 50.0, 0.0, None, (), "mit")
    return [
        replace(row, recipe=Recipe("m", "r", TXT2IMG, number, index, cell=f"c{number}"))
        for number in range(count)
        for index in range(each)
    ]


def test_halves_share_no_group_and_do_not_depend_on_the_order():
    images = rows(31, each=3)
    learned, asked = halves(images)
    assert {group_of(row) for row in learned}.isdisjoint(group_of(row) for row in asked)
    assert sorted(row.id for row in learned + asked) == sorted(row.id for row in images)
    assert abs(len(learned) - len(asked)) == 3
    assert halves(images[::-1]) == (learned, asked)


def test_fifteen_groups_reach_every_split():
    deal = Dealer()
    splits = Counter(deal(f"g{number}") for number in range(15))
    assert splits["train"] >= 9
    assert splits["val"] >= 2
    assert splits["test"] >= 2
    assert deal("g2") == "test" == deal("g2")
    assert Counter(deal(f"g{number}") for number in range(15)) == splits


def test_too_few_images_are_said_to_be_too_few(tmp_path):
    with pytest.raises(GenerationError, match="too few"):
        teach(tmp_path, rows(5), tmp_path / "out", tmp_path, [], None, 48)
