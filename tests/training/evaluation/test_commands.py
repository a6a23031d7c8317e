"""The commands end to end: a model, an ONNX file and a CSV pass the same door, and the report can be read back."""

import csv
import json
import math
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck.errors import ModelError
from facecheck.model import DEFAULT_MODEL
from facecheck.model.checkpoint import export_onnx, load_model, save_model
from facecheck.model.config import ModelConfig
from training.cli import main
from training.data import read_manifest
from training.evaluation import plots, subject
from training.evaluation.corruptions import CURVES
from training.evaluation.report import CARD_BEGIN, CARD_END
from training.evaluation.scores import score_tiers
from training.evaluation.subject import How, Judged, Subject, load_checker, load_onnx, read_judged, shipped

ROOT = Path(__file__).parents[3]
CARD = ROOT / "facecheck" / "weights" / "MODEL_CARD.md"
DOCS = (ROOT / "docs" / "evaluation.md").read_text()
DRAW = plots.png


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Drawing takes longer than all else in a report on four faces."""
    monkeypatch.setattr(plots, "png", lambda figure: b"not drawn")


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


def test_a_model_becomes_a_folder_that_can_be_read_back(data, weights, tmp_path, monkeypatch):
    out = tmp_path / "report"
    with monkeypatch.context() as patch:
        patch.setattr(plots, "png", DRAW)
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
    assert text.startswith("Sources it learned from\n")
    assert "| tier | metric | good | bad |" in text
    assert "| clean | auc | 1.0000 | 0.0000 | -1.0000 [-1.0000, -1.0000] | 0.095 |" in text


def test_unseen_sources_come_first_and_what_it_learned_from_beside(with_world, weights, tmp_path):
    shared = ("--no-curves", "--tiers", "clean,hard", "--cache", tmp_path / "cache", "--rounds", 5)
    run("calibrate", weights, with_world, "--sweep-faces", 0, "--cache", tmp_path / "cache")
    assert load_model(weights).config.decision.fitted_on == "world"
    report, text = evaluated(tmp_path / "world", weights, with_world, *shared)
    assert (report["split"], report["crossfitted"]) == ("world", True)
    assert "**Unseen sources**: split world, 4 faces of 2 sources" in text
    assert "were fitted on the other half of the sources" in text
    assert "| clean | balanced accuracy | >= 0.95 |" in text
    card = tmp_path / "CARD.md"
    card.write_text(f"{CARD_BEGIN}\n{CARD_END}\n")
    words = ("--beside", "val", "--card", card)
    evaluated(tmp_path / "card", weights, with_world, *shared, *words)
    first, second = card.read_text().index("**Unseen sources**"), card.read_text().index("## Sources it learned from")
    assert first < second
    assert "other files of sources that stand in the training data" in card.read_text()


def test_sources_are_left_out_and_known_ones_are_named(with_world, tmp_path):
    rows = [row for row in read_manifest(with_world) if row.split == "world"]
    lines = [f"{row.path.relative_to(with_world).as_posix()},{0.9 if row.label == 'fake' else 0.1}" for row in rows]
    scores = with_world / "theirs.csv"
    scores.write_text("file,p_fake\n" + "\n".join(lines))
    report, text = evaluated(tmp_path / "out", scores, with_world, "--leave-out", "unseen-a", "--compare", scores)
    assert report["left_out"] == ["real/unseen-a"]
    assert report["tiers"][0]["report"]["faces"] == 3
    assert report["command"].endswith("--leave-out unseen-a --compare theirs.csv")
    assert "Left out: real/unseen-a." in text
    assert "| clean | balanced accuracy | >= 0.95 | 1.000 [1.000, 1.000] | 1.000 |" in text
    failed = run("evaluate", scores, with_world, "--leave-out", "nobody", "--out", tmp_path / "x", code=1)
    assert "no source nobody to leave out" in failed
    judged = Judged(Subject("m"), read_judged(scores, rows, with_world).scores,
                    ModelConfig("m", "1", training_data=("fake/unseen-c", "real/sa")))  # fmt: skip
    assert judged.learned_from() == ("fake/unseen-c",)


def test_without_a_world_the_report_says_that_nothing_is_known_of_it(data, tmp_path):
    report, text = evaluated(tmp_path / "out", scores_csv(data, "good.csv", 0.9), data)
    assert report["split"] == "test"
    assert "**Sources it learned from**: split test" in text
    assert "On sources that it has not learned from nothing was measured here" in text
    assert "## Aims" not in text


def test_an_earlier_version_is_found_in_the_history(tmp_path, monkeypatch, tiny_model):
    monkeypatch.setattr(subject, "WEIGHTS_DIR", tmp_path / "repository")
    monkeypatch.setattr(subject, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(subject, "read_model", lambda _: SimpleNamespace(config=SimpleNamespace(version="0.9.0")))
    with pytest.raises(ModelError, match=r"is no git checkout"):
        shipped("0.1.0")
    folder = tmp_path / "repository"
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    save_model(tiny_model.network, replace(tiny_model.config, name=DEFAULT_MODEL, version="0.1.0"), folder)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for version in ("0.1.0", "0.2.0"):
        config = folder / f"{DEFAULT_MODEL}.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"version": version}))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", version], check=True)
    assert load_model(shipped("0.1.0")).config.version == "0.1.0"
    assert load_checker("0.1.0", How(device="cpu")).config.version == "0.1.0"
    assert shipped("0.9.0") == folder / f"{DEFAULT_MODEL}.safetensors"
    with pytest.raises(
        ModelError, match=r"no model 7\.0\.0 in the history of this checkout; there are 0\.1\.0, 0\.2\.0"
    ):
        shipped("7.0.0")


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
