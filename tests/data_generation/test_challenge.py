"""A challenge counts verdicts, and its page stands alone."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from data_generation.challenge import (
    CLEAN,
    WEB,
    Challenge,
    Rate,
    by_attribute,
    contact_sheet,
    judge_world,
    missed,
    rate,
    score,
)
from data_generation.record import TXT2IMG, Recipe, Row
from data_generation.report import write_report
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
        self.checker, self.calls = checker, []

    def predict(self, given):
        self.calls.append(list(given))
        return self.checker.predict(self.calls[-1])

    def stream(self, given):
        return iter(self.predict(given))

    @property
    def pictures(self):
        """Of the tier web: the second of the tiers, or the only one that was asked about."""
        return [image.load(each) for each in self.calls[min(1, len(self.calls) - 1)]]


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


def test_the_page_stands_alone_and_runs_nothing_of_a_prompt(scored, attributes, monkeypatch):
    folder, checker, found = scored
    evil = dataclasses.replace(found[0].row.recipe, prompt="<script>alert(1)</script>")
    found[0] = dataclasses.replace(found[0], row=dataclasses.replace(found[0].row, recipe=evil))
    monkeypatch.setattr("data_generation.report.HARDEST", 1)
    told = Challenge(folder, found, 9, checker, attributes, commands="python -m training update")
    page = write_report(told).read_text()
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["']?(?!["']?data:)""", page)
    assert "http" not in page
    assert page.count("data:image/jpeg;base64,") >= 1
    assert "9 images were made" in page
    slipped = len(missed(found))
    others = slipped - 1 if slipped else 0  # The hardest one is shown with its heat map, and not again.
    assert (f"Missed ({others} of {others})" in page) == (others > 0)
    assert f"Called fake ({4 - slipped} of {4 - slipped})" in page or slipped == 4
    assert "The hardest 1, and" in page
    assert "Fewer than 30 images" in page
    said = json.loads((folder / "challenge.json").read_text())
    assert said["accepted"] == 4
    assert said["deliveries"][CLEAN]["fake"] == rate("", found).fake
    assert [each["id"] for each in said["missed"]] == [each.row.id for each in missed(found)]


def test_no_picture_is_shown_twice(scored, attributes, monkeypatch):
    folder, checker, found = scored
    shown = []
    monkeypatch.setattr("data_generation.report.HARDEST", 2)
    monkeypatch.setattr(
        "data_generation.report.contact_sheet",
        lambda images, _: shown.extend(images) or np.zeros((8, 8, 3), np.uint8),
    )
    monkeypatch.setattr("data_generation.report.explain", lambda path, checker: shown.append(path) or checker.none)
    checker = type("Checker", (), {"config": checker.config, "none": type("None_", (), {"faces": ()})})()
    write_report(Challenge(folder, found, 4, checker, attributes))
    ids = [each.stem if hasattr(each, "stem") else each.row.id for each in shown]
    assert sorted(ids) == sorted(each.row.id for each in found)
    lowest = sorted(found, key=lambda each: each.p_fake())[:2]
    assert ids[:2] == [each.row.id for each in lowest]


@pytest.fixture
def data(tmp_path, grace, astronaut, detector):
    """A data set with a world: two sources of photographs, one generator."""
    lines = ["file,label,source,generator,split,group,x0,y0,x1,y1"]
    for number, (picture, label, source) in enumerate(
        [(grace, "real", "nasa"), (astronaut, "real", "esa"), (grace[:, ::-1], "fake", "sd")]
    ):
        path = tmp_path / "data" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(picture)).save(path, quality=95)
        box = detector.detect([image.load(path)])[0].boxes[0]
        generator = "SD 1.5" if label == "fake" else ""
        lines.append(",".join(map(str, (path.name, label, source, generator, "world", number, *box))))
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(lines))
    return tmp_path / "data"


def test_the_world_is_judged_by_the_same_detector(data, scored, attributes, monkeypatch):
    monkeypatch.setattr("data_generation.report.HARDEST", 1)  # Heat maps take most of the time.
    folder, checker, found = scored
    world = judge_world(data)
    assert world.split == "world"
    for tier in (CLEAN, WEB, "hard"):
        assert world.of(tier, "real").pictures == 2
        photographs = [world.of(tier, "real", name).share for name in ("esa", "nasa")]
        assert world.of(tier, "real").share == pytest.approx(sum(photographs) / 2)
        assert world.of(tier, "fake", "SD 1.5").pictures == 1
    alone = checker.predict(data / "0.jpg")
    assert world.of(CLEAN, "real", "nasa").share == (alone.verdict == "fake")
    page = write_report(Challenge(folder, found, 4, checker, attributes, world)).read_text()
    assert "Beside it: sources that it never learned from" in page
    assert "SD 1.5 (generator)" in page
    said = json.loads((folder / "challenge.json").read_text())
    assert {each["name"] for each in said["world"]["rates"]} == {"", "esa", "nasa", "SD 1.5"}
