"""The sentence about faces like this one comes from a table that belongs to these very weights."""

import json
from dataclasses import replace

import pytest

from facecheck.checker import FaceChecker
from facecheck.error_rates import ErrorCell, ErrorTable
from facecheck.errors import ModelError
from facecheck.model.checkpoint import load_model, save_model
from facecheck.result import Prediction

SMALL = ErrorCell("face_px", 0, 32, 120, 1 / 6, 0.11, 0.24)
LARGE = ErrorCell("face_px", 32, None, 500, 0.03, 0.02, 0.05)
BLURRED = ErrorCell("sharpness", 0, 1000, 100, 0.25, 0.2, 0.3)


def test_the_cell_of_a_measurement_is_found():
    table = ErrorTable("", "", (SMALL, LARGE, BLURRED))
    assert table.of({"face_px": 31.9, "sharpness": 5}) == (SMALL, BLURRED)
    assert table.of({"face_px": 32}) == (LARGE,)
    assert table.of({"face_px": 33, "sharpness": 5000, "unknown": 1}) == (LARGE,)
    assert table.of({"sharpness": 5}) == ()


def test_the_size_is_stated_unless_something_else_is_measurably_worse():
    worse = ErrorCell("turned", 0.2, None, 90, 0.18, 0.12, 0.26, from_px=32)
    vague = replace(worse, error_low=0.02)
    frontal, turned = {"face_px": 90.0, "turned": 0.0}, {"face_px": 90.0, "turned": 0.4}
    assert ErrorTable("", "", (SMALL, LARGE, worse)).expected(frontal) == LARGE
    assert ErrorTable("", "", (SMALL, LARGE, worse)).expected(turned) == worse
    assert ErrorTable("", "", (SMALL, LARGE, vague)).expected(turned) == LARGE
    assert ErrorTable("", "", (SMALL, worse)).expected({"face_px": 20.0, "turned": 0.4}) == SMALL
    assert ErrorTable().expected(turned) is None
    assert worse.meaning.startswith("On faces of at least 32 pixels, turned to the side as far as this one, the model")


def test_the_sentence():
    said = SMALL.meaning
    assert said.startswith("On faces less than 32 pixels large the model is wrong about 1 time in 6 ")
    assert "between 1 in 9 and 1 in 4, measured on 120 faces" in said
    assert "at least 32 pixels" in LARGE.meaning
    never = ErrorCell("turned", 0, 0.1, 80, 0.0, 0.0, 0.045)
    assert "made no error" in never.meaning
    assert "1 in 22" in never.meaning


def test_the_table_belongs_to_its_weights(tiny_model, tmp_path, detector, grace):
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path)
    digest = json.loads((tmp_path / "tiny.json").read_text())["sha256"]
    beside = tmp_path / "tiny.errors.json"
    assert load_model(weights).errors == ErrorTable()
    table = ErrorTable(digest, "command", (SMALL, LARGE, BLURRED))
    beside.write_text(table.to_json())
    assert load_model(weights).errors == table
    face = FaceChecker(weights, device="cpu", detector=detector).predict(grace).faces[0]
    assert face.expected_error == BLURRED
    assert face.quality.face_px == pytest.approx(face.size_px)
    beside.write_text(replace(table, sha256="other").to_json())
    assert load_model(weights).errors == ErrorTable()
    beside.write_text("{}")
    with pytest.raises(ModelError, match="not a table of error rates"):
        load_model(weights)


def test_it_survives_json(checker, grace):
    answer = checker.predict(grace)
    face = replace(answer.faces[0], expected_error=SMALL)
    answer = replace(answer, faces=(face,))
    assert Prediction.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
