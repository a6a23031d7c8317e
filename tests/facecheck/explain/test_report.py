"""The case report: complete, self-contained, escaped, and readable for every kind of input."""

import io
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecheck.cli import main
from facecheck.error_rates import Budget, ChanceOfError, ErrorCell
from facecheck.explain import report, wording
from facecheck.explain.explanation import explain
from facecheck.explain.report import Explanation
from facecheck.model.config import ModelConfig
from facecheck.result import Verdict
from facecheck.settings import CheckerSettings

HOSTILE = "<script>alert(1)</script>\"'><img src=http://example.org/x>"


class Page(HTMLParser):
    """Collects what a browser would load, and whether every element is closed."""

    VOID = ("meta", "img", "rect", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.loads, self.tags, self.words = [], [], set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        named = [value for name, value in attributes if name in ("src", "href", "data", "action")]
        self.loads += [value for value in named if not value.startswith("#")]  # Places of the page itself.
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def page_of(found: Explanation) -> Page:
    page = Page(found.to_html())
    assert page.open == []
    assert all(url.startswith("data:image/jpeg;base64,") for url in page.loads)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import", found.to_html())
    return page


@pytest.fixture(scope="module")
def portrait(checker, grace_path) -> Explanation:
    return explain(grace_path, methods=("grad-cam", "occlusion"), checker=checker)


def test_a_portrait_has_every_part(portrait):
    page = page_of(portrait)
    assert len(page.loads) == 1 + 1 + 2
    for words in (
        wording.HEADLINES[portrait.prediction.verdict],
        "Face 1",
        "The score lies between",
        "Grad-CAM",
        "Occlusion",
        "says about its own origin",
        portrait.sha256,
        "tiny 0",
        wording.LIMITS[0],
        "facenet-pytorch",
    ):
        assert words in page.words


def test_each_picture_can_be_enlarged_and_each_map_has_its_scale_and_legend(portrait):
    html = portrait.to_html()
    places = re.findall(r"<figure id='([^']+)'", html)
    assert places == ["face-1", "face-1-grad-cam", "face-1-occlusion"]
    assert all(f"href='#{place}'" in html for place in places)
    assert html.count("class=heat") == 2 and html.count(wording.HEAT_SCALE[1]) == 2
    assert "sure that it is a face" not in html and wording.SCOPE in html


def test_the_json_has_the_same_facts(portrait):
    values = json.loads(json.dumps(portrait.to_dict()))
    assert values["file"]["sha256"] == portrait.sha256
    assert values["prediction"]["faces"][0]["stability"]["flips"] in (True, False)
    assert values["heat_maps"] == [["grad-cam", "occlusion"]]
    assert values["versions"]["torch"]
    assert values["limits"]


def test_no_face_and_no_picture_read_well(checker, cat):
    nothing = page_of(explain(cat, checker=checker))
    assert "No face found" in nothing.words
    assert "The faces" not in nothing.words
    broken = page_of(explain(b"\xff\xd8\xff" + b"junk", checker=checker))
    assert "could not be read" in broken.words
    assert "No pixel of it was judged" in broken.words
    assert broken.loads == []


def test_everything_that_comes_from_outside_is_escaped(checker, cat, tmp_path):
    info, path = PngInfo(), tmp_path / "a.png"
    info.add_text("prompt", HOSTILE)
    info.add_text("seed", HOSTILE)
    Image.fromarray(cat).save(path, pnginfo=info)
    found = explain(path, checker=checker)
    assert HOSTILE in found.prediction.provenance.findings[0].details["prompt"]
    named = replace(found, prediction=replace(found.prediction, source=HOSTILE, error=HOSTILE))
    strange = replace(named, model=ModelConfig(HOSTILE, HOSTILE, licence=HOSTILE, training_data=(HOSTILE,)))
    assert "alert(1)" in page_of(strange).words


def test_uncertain_faces_say_why_and_how_often_the_model_errs(portrait):
    cell = ErrorCell("face_px", 0, 32, 120, 1 / 6, 0.11, 0.24)
    chance = ChanceOfError(1 / 6, 0.1, 0.25, 0.5, 120, 40)
    seen = portrait.faces[0]
    face = replace(seen.face, verdict=Verdict.UNCERTAIN, reasons=tuple(wording.REASONS), expected_error=chance)
    budget = Budget(0.01, 0.9, 0.8, 0.7, 0.85)
    found = replace(
        portrait,
        prediction=replace(portrait.prediction, faces=(face,), budget=budget),
        faces=(replace(seen, face=face, cells=(cell,)),),
    )
    page = page_of(found)
    assert all(sentence in page.words for sentence in wording.REASONS.values())
    assert "wrong about 17 times in 100" in page.words
    assert budget.meaning in page.words
    assert found.to_dict()["expected_errors"] == [[cell.meaning]]


def test_a_contradiction_stands_apart(checker, grace):
    info, stream = PngInfo(), io.BytesIO()
    info.add_text("parameters", "a portrait\nSteps: 20, Seed: 7")
    Image.fromarray(grace).save(stream, "PNG", pnginfo=info)
    found = explain(stream.getvalue(), checker=checker)
    real = replace(found.prediction.faces[0], verdict=Verdict.REAL)
    page = page_of(replace(found, prediction=replace(found.prediction, faces=(real,))))
    assert "A contradiction" in page.words
    assert "neither was changed because of the other" in page.words


def test_every_verdict_and_reason_has_words():
    assert set(wording.HEADLINES) == set(wording.EXPLAINED) == {*Verdict, None}
    assert "authentic" in wording.EXPLAINED[Verdict.REAL]


def test_the_default_models_card_is_quoted():
    (points,) = report._card("facecheck-resnet50").values()
    assert any("FFHQ" in point for point in points)
    assert not any("**" in point or "\n" in point for point in points)
    assert report._card("another") == {}


@pytest.fixture
def run(monkeypatch, checker):
    monkeypatch.setattr(CheckerSettings, "checker", lambda *_, **__: checker)
    return lambda *arguments, **options: CliRunner().invoke(main, ["explain", *map(str, arguments)], **options)


def test_the_command_writes_html_and_json(run, grace_path, tmp_path):
    result = run(grace_path, "-o", tmp_path / "r.html", "-o", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{grace_path}: ")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "r.json").read_text())["file"]["bytes"] == grace_path.stat().st_size


def test_text_that_is_no_text_reaches_the_page_as_escapes(run, tmp_path, cat):
    info = PngInfo()
    info.add_text("facecheck", '{"prompt": "half \\ud800 a letter", "seed": 1}')
    Image.fromarray(cat).save(tmp_path / "a.png", pnginfo=info)
    odd = (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"odd\xff.png"))
    result = run(odd, "-o", tmp_path / "r.html")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "half ? a letter" in page
    assert "odd\\udcff.png" in page


def test_the_command_and_bad_input(run, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"junk")
    result = run(tmp_path / "a.jpg", "-o", tmp_path / "r.html")
    assert result.exit_code == 1
    assert "could not be read" in result.stdout
    assert "could not be read" in (tmp_path / "r.html").read_text()
    assert run("missing.jpg").stderr.startswith("Error: missing.jpg: no such file")
    assert run(tmp_path / "a.jpg", "-o", tmp_path / "r.pdf").exit_code == 2
    assert run(tmp_path / "a.jpg", "-o", tmp_path / "no" / "r.html").exit_code == 1
    stream = io.BytesIO()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(stream, "PNG")
    assert "no_face" in run("-", input=stream.getvalue()).stdout
