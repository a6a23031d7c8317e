"""The gate accepts one whole face, once."""

import dataclasses
import json

import imagehash
import numpy as np
import pytest
from PIL import Image

from data_generation import gate
from data_generation.attributes import DEFAULTS, reweighted
from data_generation.gate import Gate, Limits, Measurements, coverage, judge, markdown, reasons
from data_generation.plan import make_plan
from data_generation.record import TXT2IMG, Recipe, Row

SIZE = (200, 100)


def facts(*faces, contrast=50.0, clipped=0.0):
    return Measurements(
        tuple({"box": list(box), "confidence": sure} for box, sure in faces), "0" * 32, contrast, clipped
    )


FACE = ((10, 10, 60, 70), 0.99)


@pytest.mark.parametrize(
    ("measured", "flagged", "expected"),
    [
        (facts(FACE), None, ()),
        (facts(FACE), False, ()),
        (facts(), None, ("no_face",)),
        (facts(((10, 10, 60, 70), 0.92)), None, ("unsure_face",)),
        (facts(FACE, FACE), None, ("several_faces",)),
        (facts(FACE, ((100, 10, 150, 70), 0.92)), None, ()),
        (facts(((10, 10, 40, 45), 0.99)), None, ("small_face",)),
        (facts(((-10, 10, 60, 70), 0.99)), None, ("cut_face",)),
        (facts(((160, 30, 230, 90), 0.99)), None, ("cut_face",)),
        (facts(FACE, contrast=3.0), None, ("blank",)),
        (facts(FACE, clipped=0.9), None, ("saturated",)),
        (facts(FACE), True, ("safety_flag",)),
        (facts(contrast=0.0, clipped=1.0), True, ("no_face", "blank", "saturated", "safety_flag")),
    ],
)
def test_reasons(measured, flagged, expected):
    assert reasons(measured, SIZE, flagged) == expected


@pytest.mark.parametrize(
    ("age", "is_minor"),
    [
        ("child", True), ("teenager", True), ("a toddler", True), ("16-19", True), ("schoolboy", True),
        ("newborn", True), ("twelve years old", True), ("18 months", True), ("preschooler", True), ("tween", True),
        ("eighteen", False), ("in their forties", False), ("eighty-year-old", False), ("senior citizen", False),
        ("young adult", False), ("middle-aged", False), ("elderly", False), ("20-29", False), ("", False),
    ],
)  # fmt: skip
def test_a_minor_passes_only_where_a_safety_checker_looked(age, is_minor):
    refused = ("unchecked_minor",) if is_minor else ()
    assert reasons(facts(FACE), SIZE, None, age=age) == refused
    assert reasons(facts(FACE), SIZE, False, age=age) == ()
    assert reasons(facts(FACE), SIZE, True, age=age) == ("safety_flag",)
    asked = row(1, 5, age=age)
    assert judge([asked])[asked.id] == refused


def test_a_portrait_passes_and_a_cat_and_a_wall_do_not(grace, cat):
    wall = np.full((120, 160, 3), 255, np.uint8)
    portrait, animal, white = Gate().measure([grace, cat, wall])
    assert reasons(portrait, grace.shape[1::-1]) == ()
    assert reasons(animal, cat.shape[1::-1]) == ("no_face",)
    assert reasons(white, (160, 120)) == ("no_face", "blank", "saturated")
    assert portrait.contrast == pytest.approx(np.asarray(Image.fromarray(grace).convert("L")).std(), abs=0.5)


def test_the_perceptual_hash_is_imagehash(grace):
    small = Image.fromarray(grace).convert("L").resize((64, 64), Image.Resampling.BOX)
    expected = np.concatenate([imagehash.phash(small).hash.ravel(), imagehash.dhash(small).hash.ravel()])
    found = np.unpackbits(np.frombuffer(bytes.fromhex(Gate().measure([grace])[0].phash), np.uint8))
    assert np.array_equal(found.astype(bool), expected)


def row(number: int, phash: int, **changes) -> Row:
    recipe = Recipe("m", "r", TXT2IMG, number, width=SIZE[0], height=SIZE[1])
    seen = dataclasses.replace(facts(FACE), phash=f"{phash:032x}")
    return dataclasses.replace(Row(recipe, "a.png", "0", seen.phash, seen.faces, 50.0, 0.0, None, (), "mit"), **changes)


def test_of_duplicates_one_stays_whatever_the_order():
    rng = np.random.default_rng(0)
    pictures = [int.from_bytes(rng.bytes(16), "big") for _ in range(40)]
    near = [value ^ (1 << int(rng.integers(128))) ^ (1 << int(rng.integers(128))) for value in pictures[:10]]
    far = [value ^ 0x3F << 3 for value in pictures[10:20]]
    rows = [row(number, value) for number, value in enumerate(pictures + near + far)]
    judged = judge(rows)
    assert judged == judge(rows[::-1])
    duplicates = {id for id, found in judged.items() if found == ("duplicate",)}
    assert len(duplicates) == 10
    for original, copy in zip(rows[:10], rows[40:50], strict=True):
        assert len({original.id, copy.id} & duplicates) == 1


def test_a_rejected_image_hides_no_duplicate():
    first, second = sorted((row(1, 5), row(2, 5)), key=lambda each: each.id)
    assert judge([dataclasses.replace(first, flagged=True), second])[second.id] == ()


def test_the_judgement_is_written_and_its_limits_are_read_again(recorded):
    folder, rows = recorded
    judged = judge(rows)
    assert sorted(map(str, judged.values())) == ["('duplicate',)", "('no_face', 'blank')", "()", "()"]
    path = gate.write_judgement(folder, judged, Limits())
    said = json.loads(path.read_text())
    assert said["counts"] == {"accepted": 2, "duplicate": 1, "no_face": 1, "blank": 1}
    assert len(said["rejected"]) == 2
    strict = Limits(face_px=10_000)
    gate.write_judgement(folder, judge(rows, strict), strict)
    assert gate.counts(gate.read_judgement(folder, rows))["accepted"] == 0


def test_coverage_counts_every_accepted_picture():
    plan = make_plan(150)
    first, second = plan.cells[0], plan.cells[-1]
    rows = coverage(plan, [first.id, first.id, second.id, "from-another-plan"])
    found = {(row.attribute, row.value): row for row in rows}
    assert found["age", first.attributes["age"]].achieved == 2
    assert found["age", first.attributes["age"]].planned == 30
    assert found["age", second.attributes["age"]].achieved == 1
    assert found["cell", "not in the plan"].achieved == 1
    assert sum(row.achieved for row in rows if row.attribute == "camera") == 3
    assert sum(row.planned for row in rows if row.attribute == "camera") == plan.total


def test_coverage_as_markdown():
    made = make_plan(10, count=2, weights=reweighted(DEFAULTS, {("age", "child"): 0}))
    lines = markdown(coverage(made, [cell.id for cell in made.cells])).splitlines()
    assert lines[0] == "| attribute | value | planned | achieved | share |"
    assert not any("child" in line for line in lines)
    assert all(line.endswith("| 50% |") for line in lines[2:])
