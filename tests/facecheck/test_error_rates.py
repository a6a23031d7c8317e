"""The sentence about faces like this one comes from a table that belongs to these very weights."""

import json
from dataclasses import replace

import pytest

from facecheck.calibration import chance_of_error
from facecheck.checker import FaceChecker
from facecheck.error_rates import AnswerBand, ErrorCell, ErrorTable
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


BANDS = (AnswerBand(0.0, 0.1, 900, 40, 0.05, 0.02, 0.1), AnswerBand(0.1, 1.0, 300, 35, 19.0, 9.0, 49.0))
TABLE = ErrorTable(cells=(SMALL,), split="world", bands=BANDS)


def test_what_an_answer_is_worth_follows_from_the_share_of_fakes():
    """By hand: where half of the faces are generated, 19 of 20 in a band with a ratio of 19 are."""
    fake = chance_of_error(TABLE, "fake", 0.9)
    assert (fake.chance, fake.low, fake.high) == pytest.approx((1 / 20, 1 / 50, 1 / 10))
    assert (fake.prevalence, fake.faces, fake.sources) == (0.5, 300, 35)
    real = chance_of_error(TABLE, "real", 0.01)
    assert (real.chance, real.low, real.high) == pytest.approx((0.05 / 1.05, 0.02 / 1.02, 0.1 / 1.1))
    rare = chance_of_error(TABLE, "fake", 0.9, 0.01)
    assert rare.chance == pytest.approx(1 - (0.01 * 19) / (0.01 * 19 + 0.99))
    assert chance_of_error(TABLE, "real", 0.01, 0.01).chance < real.chance / 50
    assert chance_of_error(TABLE, "fake", 1.0) == fake
    # An answer against the odds, as under a budget: the same band, seen from the other side.
    assert chance_of_error(TABLE, "real", 0.9).chance == pytest.approx(1 - fake.chance)


def test_where_nothing_unseen_was_measured_nothing_is_said():
    assert chance_of_error(TABLE, "uncertain", 0.9) is None
    assert chance_of_error(ErrorTable(split="val", bands=BANDS), "fake", 0.9) is None
    assert chance_of_error(ErrorTable(split="world"), "fake", 0.9) is None


def test_the_chance_in_words():
    said = chance_of_error(TABLE, "fake", 0.9).meaning
    assert "an answer like this one is wrong about 1 time in 20 (between 1 time in 50 and 1 time in 10)" in said
    assert "if 50 % of the faces are generated; measured on 300 faces of 35 sources" in said
    assert "84 times in 100" in chance_of_error(TABLE, "fake", 0.9, 0.01).meaning
    assert "if 1 % of the faces" in chance_of_error(TABLE, "fake", 0.9, 0.01).meaning


@pytest.mark.parametrize("value", [0, 1, -0.1, 50])
def test_a_prevalence_is_a_share(value, tiny_model, detector):
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        FaceChecker(tiny_model, device="cpu", detector=detector, prevalence=value)


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
    table = ErrorTable(digest, "command", (SMALL, LARGE, BLURRED), "world", BANDS)
    beside.write_text(table.to_json())
    assert load_model(weights).errors == table
    for prevalence in (0.5, 0.02):
        face = FaceChecker(weights, device="cpu", detector=detector, prevalence=prevalence).predict(grace).faces[0]
        assert face.expected_error == chance_of_error(table, face.verdict, face.p_fake, prevalence)
        assert face.expected_error.prevalence == prevalence
    assert face.quality.face_px == pytest.approx(face.size_px)
    old = {"sha256": digest, "made_by": "0.2.0", "cells": []}
    beside.write_text(json.dumps(old))
    assert load_model(weights).errors == ErrorTable(digest, "0.2.0")
    beside.write_text(replace(table, sha256="other").to_json())
    assert load_model(weights).errors == ErrorTable()
    beside.write_text("{}")
    with pytest.raises(ModelError, match="not a table of error rates"):
        load_model(weights)


def test_it_survives_json(checker, grace):
    answer = checker.predict(grace)
    face = replace(answer.faces[0], expected_error=chance_of_error(TABLE, "fake", 0.9))
    answer = replace(answer, faces=(face,))
    values = json.loads(json.dumps(answer.to_dict()))
    assert Prediction.from_dict(values) == answer
    # 0.2.0 counted sources that it had learned from.
    values["faces"][0]["expected_error"] = {"measure": "face_px", "low": 0, "high": None, "faces": 9, "error": 0.03}
    assert Prediction.from_dict(values).faces[0].expected_error is None
