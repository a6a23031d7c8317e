"""The commands end to end: a model, an ONNX file and a CSV pass the same door, and the report can be read back."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck.errors import ModelError
from facecheck.model.checkpoint import load_model, save_model
from facecheck.model.export import export_onnx
from training.__main__ import main
from training.data import read_manifest
from training.evaluation.corruptions import CURVES
from training.evaluation.report import CARD_BEGIN, CARD_END
from training.evaluation.scoring import score_tiers
from training.evaluation.subject import How, load_checker, load_onnx

ROOT = Path(__file__).parents[3]
CARD = ROOT / "facecheck" / "weights" / "MODEL_CARD.md"
DOCS = (ROOT / "docs" / "evaluation.md").read_text()


@pytest.fixture
def weights(tiny_model, tmp_path):
    return save_model(tiny_model.network, tiny_model.config, tmp_path / "model")


@pytest.fixture
def onnx_file(weights, tmp_path):
    path = tmp_path / "exported.onnx"
    export_onnx(weights, path)
    return path


def run(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def evaluated(out, *words):
    text = run("evaluate", *words, "--out", out, "--rounds", 5)
    return json.loads((out / "report.json").read_text()), text


def scores_of(folder):
    return list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))


def test_a_model_becomes_a_folder_that_can_be_read_back(data, weights, tmp_path):
    out = tmp_path / "report"
    report, text = evaluated(out, weights, data, "--curve-faces", 4, "--tiers", "clean,hard")
    assert [tier["tier"] for tier in report["tiers"]] == ["clean", "hard"]
    assert report["subject"] == {"name": "tiny", "version": "0", "sha256": load_model(weights).config.sha256}
    assert report["command"] == ("python -m training evaluate tiny.safetensors DATA --tiers clean,hard --curve-faces 4")
    table = scores_of(out)
    assert [(row["tier"], row["file"][:4]) for row in table] == [
        (tier, name) for tier in ("clean", "hard") for name in ("real", "real", "fake", "fake")
    ]
    rows = [row for row in read_manifest(data) if row.split == "test"]
    expected = score_tiers(load_checker(str(weights)), rows, data, ["clean"])
    assert [float(row["p_fake"]) for row in table[:4]] == pytest.approx(expected.p_fake.tolist())
    assert [(p["curve"], p["level"]) for p in report["curves"]] == [(c.name, v) for c in CURVES for v in c.levels]
    page = (out / "report.md").read_text()
    pictures = re.findall(r"!\[.*\]\((.*)\)", page)
    assert len(pictures) == 5
    assert all(np.asarray(Image.open(out / name)).std() > 5 for name in pictures)
    clean = report["tiers"][0]
    (line,) = re.findall(r"^\| clean \| .* of 4 \|$", page, re.M)
    assert line in text
    assert [cell.strip() for cell in line.split("|")][2] == f"{clean['report']['balanced_accuracy']:.3f}"
    assert "## Robustness" in page
    assert "## Comparison" not in page
    # The folder of a report is itself a subject: nothing is scored, everything stays.
    again, _ = evaluated(tmp_path / "again", out, data)
    assert all(again[key] == report[key] for key in ("subject", "tiers", "curves"))


def test_an_onnx_file_scores_as_the_network_it_came_from(data, weights, onnx_file, tmp_path):
    ours, _ = evaluated(tmp_path / "torch", weights, data, "--no-curves", "--tiers", "clean")
    theirs, _ = evaluated(tmp_path / "onnx", onnx_file, data, "--no-curves", "--tiers", "clean")
    tables = [scores_of(tmp_path / name) for name in ("torch", "onnx")]
    first, second = ([float(row["p_fake"]) for row in table] for table in tables)
    assert second == pytest.approx(first, abs=1e-4)
    assert ours["subject"]["sha256"] != theirs["subject"]["sha256"]
    assert not (tmp_path / "onnx" / "robustness.png").exists()


def test_torch_in_f32_measures_unless_another_engine_is_asked_for(data, weights, tmp_path):
    pytest.importorskip("openvino")
    assert str(load_checker(str(weights)).classifier.choice).startswith("torch f32")
    checker = load_checker(str(weights), How(0.5, "cpu", "openvino", "f32"))
    assert str(checker.classifier.choice) == "openvino f32"
    words = ("--no-curves", "--tiers", "clean", "--device", "cpu", "--engine", "openvino", "--precision", "f32")
    report, _ = evaluated(tmp_path / "openvino", weights, data, *words)
    assert report["command"].endswith("--engine openvino --precision f32 --no-curves")
    evaluated(tmp_path / "torch", weights, data, *words[:5])
    first, second = ([float(row["p_fake"]) for row in scores_of(tmp_path / name)] for name in ("torch", "openvino"))
    assert second == pytest.approx(first, abs=1e-4)


def test_an_onnx_file_must_be_one_and_have_its_config(tiny_model, tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"junk")
    with pytest.raises(ModelError, match=r"needs its \.json config"):
        load_onnx(path)
    path.with_suffix(".json").write_text(tiny_model.config.to_json())
    with pytest.raises(ModelError, match="not a classifier"):
        load_onnx(path)


def scores_csv(folder, name, good):
    lines = [f"{row.path.relative_to(folder).as_posix()},{good if row.label == 'fake' else 1 - good}"
             for row in read_manifest(folder) if row.split == "test"]  # fmt: skip
    path = folder / name
    path.write_text("file,p_fake\n" + "\n".join(lines))
    return path


def test_somebody_elses_scores_are_measured_and_compared(data, tmp_path):
    good, bad = scores_csv(data, "good.csv", 0.9), scores_csv(data, "bad.csv", 0.2)
    report, _ = evaluated(tmp_path / "good", good, data, "--compare", bad)
    assert report["subject"]["name"] == "good"
    assert report["other"]["name"] == "bad"
    assert report["tiers"][0]["report"]["auc"] == 1
    assert report["tiers"][0]["report"]["brier"] == pytest.approx(0.01)
    assert report["tiers"][0]["sizes"] == []
    differences = {item["metric"]: item for item in report["compared"]}
    assert (differences["auc"]["first"], differences["auc"]["second"]) == (1, 0)
    assert differences["forced_choice"]["difference"] == -1
    evaluated(tmp_path / "bad", bad, data)
    text = run("compare", tmp_path / "good", tmp_path / "bad" / "scores.csv", "--rounds", 20)
    assert "| tier | metric | good | bad |" in text
    assert "| clean | auc | 1.0000 | 0.0000 | -1.0000 [-1.0000, -1.0000] | 0.095 |" in text


def test_a_threshold_replaces_the_shipped_one(weights):
    decision = load_checker(str(weights), How(0.25)).config.decision
    assert (decision.uncertain_from, decision.threshold, decision.uncertain_to) == (0.25, 0.25, 0.25)


def test_the_card_is_rewritten_between_its_markers_only(data, tmp_path):
    card = tmp_path / "CARD.md"
    card.write_text(f"# Card\n\n{CARD_BEGIN}\nold numbers\n{CARD_END}\n\n## Limits\n")
    good = scores_csv(data, "good.csv", 0.9)
    for _ in range(2):
        evaluated(tmp_path / "good", good, data, "--card", card)
        text = card.read_text()
        assert text.startswith(f"# Card\n\n{CARD_BEGIN}\nMade by `python -m training evaluate good.csv DATA`.\n")
        assert text.endswith(f"\n{CARD_END}\n\n## Limits\n")
        assert "old numbers" not in text
        assert text.count("\n### Tiers\n") == 1
    card.write_text("# Card")
    assert CARD_BEGIN in run("evaluate", good, data, "--out", tmp_path / "x", "--rounds", 5, "--card", card, code=1)


def test_the_shipped_card_has_the_markers():
    before, _, rest = CARD.read_text().partition(CARD_BEGIN)
    assert "| clean |" in rest.partition(CARD_END)[0]
    assert "| clean |" not in before


def test_mistakes_are_messages(data, tmp_path):
    assert "no model at 'nothing'" in run("evaluate", "nothing", data, code=1)
    assert "there are clean, web, hard" in run("evaluate", "default", data, "--tiers", "clean,worse", code=2)
    assert "both classes" in run("evaluate", "default", data, "--split", "other", code=1)


def test_the_documentation_names_every_option_and_no_other():
    for name in ("evaluate", "compare"):
        options = {
            option for item in main.get_command(None, name).params for option in item.opts if option.startswith("--")
        }
        lines = [line for line in DOCS.splitlines() if line.startswith(f"    python -m training {name} ")]
        assert lines
        assert {word for line in lines for word in line.split() if word.startswith("--")} <= options
        assert [option for option in options if option not in DOCS] == []


def test_json_has_null_where_there_is_no_number(data, tmp_path):
    from training.evaluation.report import _finite

    assert _finite({"a": (1.5, math.nan), "b": [math.inf, "x"]}) == {"a": [1.5, None], "b": [None, "x"]}
