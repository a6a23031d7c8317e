"""A challenge counts verdicts, and its page stands alone."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from data_generation.challenge import CLEAN, WEB, Rate, by_attribute, contact_sheet, missed, rate, score
from data_generation.challenge_report import write_report
from data_generation.record import TXT2IMG, Recipe, Row
from facecheck import image
from training.data import FaceFile
from training.evaluation.scores import score as training_score


@pytest.fixture(scope="module")
def attributes():
    return {f"p{number}": {"age": "20-29" if number < 2 else "60-69"} for number in range(4)}


@pytest.fixture(scope="module")
def judged(four_images):
    folder, rows = four_images
    return score(rows, folder)


@pytest.fixture
def scored(recorded, judged):
    checker, found = judged
    return recorded[0], checker, list(found)


@pytest.mark.parametrize(("hits", "total"), [(0, 5), (5, 5), (3, 7), (180, 200)])
def test_the_interval_is_wilsons(hits, total):
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    rate = Rate("", total, hits, 0, total - hits, 0)
    assert rate.interval == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_images_are_judged_as_the_library_judges_them(scored):
    folder, checker, found = scored
    assert checker.classifier.choice.engine == "torch"
    for each in found:
        alone = checker.predict(folder / each.row.file)
        assert each.answers[CLEAN].verdict == alone.verdict
        assert each.p_fake() == pytest.approx(alone.faces[0].p_fake if alone.faces else 0.0, abs=1e-4)
    made = rate("all", found)
    assert (made.images, made.no_face) == (4, 1)
    assert made.fake + made.uncertain + made.real + made.no_face == 4
    assert rate("all", found, WEB).images == 4


class Recorder:
    """A checker that keeps what it is given."""

    def __init__(self, checker):
        self.checker, self.given = checker, []

    def predict(self, given):
        self.given = list(given)
        return self.checker.predict(self.given)

    def stream(self, given):
        return iter(self.predict(given))

    @property
    def pictures(self):
        return [image.load(each) for each in self.given]


def test_the_web_tier_has_the_pixels_of_trainings_and_of_pillows(checker, astronaut, tmp_path, monkeypatch):
    large = Image.fromarray(astronaut).resize((1000, 1000), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.png")
    row = Row(Recipe("m", "r", TXT2IMG, 1), "large.png", "0", "0", (), 50.0, 0.0, None, (), "mit")
    here, there = Recorder(checker), Recorder(checker)
    monkeypatch.setattr("data_generation.challenge.FaceChecker", lambda *_, **__: here)
    score([row], tmp_path)
    list(training_score(there, [FaceFile(tmp_path / "large.png", "fake", "s", "test", "g", (0, 0, 9, 9))], WEB))
    (mine,), (trainings,) = here.pictures, there.pictures
    assert np.array_equal(mine, trainings)
    reduced, stream = Image.open(tmp_path / "large.png"), io.BytesIO()
    reduced.thumbnail((768, 768), Image.Resampling.LANCZOS)
    reduced.save(stream, "JPEG", quality=60)
    assert np.array_equal(mine, np.asarray(Image.open(stream)))


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
    slipped = len(missed(found))
    assert f"Missed ({slipped} of {slipped})" in page
    assert f"Called fake ({4 - slipped} of {4 - slipped})" in page or slipped == 4
    said = json.loads((folder / "challenge.json").read_text())
    assert said["accepted"] == 4
    assert said["deliveries"][CLEAN]["fake"] == rate("", found).fake
    assert [each["id"] for each in said["missed"]] == [each.row.id for each in missed(found)]
