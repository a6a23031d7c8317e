"""A challenge counts verdicts, and its page stands alone."""

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from data_generation.challenge import AS_MADE, WEB, by_attribute, contact_sheet, missed, rate, score, wilson
from data_generation.challenge_report import write_report
from facecheck import FaceChecker


@pytest.fixture(scope="module")
def attributes():
    return {f"p{number}": {"age": "20-29" if number < 2 else "60-69"} for number in range(4)}


@pytest.fixture
def scored(recorded):
    folder, rows = recorded
    return folder, *score(rows, folder)


@pytest.mark.parametrize(("hits", "total"), [(0, 5), (5, 5), (3, 7), (180, 200)])
def test_the_interval_is_wilsons(hits, total):
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_images_are_judged_as_the_library_judges_them(scored):
    folder, _, found = scored
    checker = FaceChecker(engine="torch")
    for each in found:
        alone = checker.predict(folder / each.row.file)
        assert each.answers[AS_MADE].verdict == alone.verdict
        assert each.p_fake() == pytest.approx(alone.faces[0].p_fake if alone.faces else 0.0, abs=1e-4)
    made = rate("all", found)
    assert (made.images, made.no_face) == (4, 1)
    assert made.fake + made.uncertain + made.real + made.no_face == 4
    assert rate("all", found, WEB).images == 4


def test_attributes_count_only_where_a_prompt_was_read(scored, attributes, monkeypatch):
    monkeypatch.setattr("data_generation.challenge.FEWEST", 2)
    _, _, found = scored
    assert {each.name: each.images for each in by_attribute(found, attributes)} == {"age: 20-29": 2, "age: 60-69": 2}
    blind = [
        dataclasses.replace(
            each, row=dataclasses.replace(each.row, recipe=dataclasses.replace(each.row.recipe, prompt=""))
        )
        for each in found
    ]
    assert by_attribute(blind, attributes) == []


def test_the_contact_sheet_shows_the_images_in_order(scored):
    folder, _, found = scored
    sheet = contact_sheet(found, folder, columns=3, side=32)
    assert sheet.shape == (64, 96, 3)
    second = Image.open(folder / found[1].row.file).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(sheet[:32, 32:64], np.asarray(second))


def test_the_page_stands_alone_and_runs_nothing_of_a_prompt(scored, attributes, tmp_path):
    folder, checker, found = scored
    evil = dataclasses.replace(found[0].row.recipe, prompt="<script>alert(1)</script>")
    found[0] = dataclasses.replace(found[0], row=dataclasses.replace(found[0].row, recipe=evil))
    page = write_report(folder, found, attributes, 9, checker.config, "python -m training update").read_text()
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["']?(?!["']?data:)""", page)
    assert "http" not in page
    assert page.count("data:image/jpeg;base64,") >= 1
    assert "9 images were made" in page
    said = json.loads((folder / "challenge.json").read_text())
    assert said["accepted"] == 4
    assert said["deliveries"][AS_MADE]["fake"] == rate("", found).fake
    assert [each["id"] for each in said["missed"]] == [each.row.id for each in missed(found)]
