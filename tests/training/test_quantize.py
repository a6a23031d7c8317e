"""int8 files belong to their weights, say what they lose, and are what --precision int8 loads."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from facecheck.checker import FaceChecker
from facecheck.engines.classifier import open_classifier
from facecheck.engines.quantised import Quantised
from facecheck.errors import ModelError
from facecheck.model import read_model
from facecheck.model.checkpoint import save_model
from training.augment import delivered
from training.cli import main
from training.data import read_manifest
from training.evaluation.scores import score_tiers
from training.quantize import calibration_faces, quantize

pytest.importorskip("openvino")
pytest.importorskip("nncf")


@pytest.fixture
def weights(tiny_model, tmp_path):
    return save_model(tiny_model.network, tiny_model.config, tmp_path / "model")


def run(*words):
    return CliRunner().invoke(main, ["quantize", *map(str, words)])


def test_the_command_writes_three_files_that_the_library_loads(weights, data, detector):
    result = run(weights, data, "--faces", 4)
    assert result.exit_code == 0, result.output
    names = {path.name for path in weights.parent.iterdir()}
    assert names == {f"tiny.{end}" for end in ("safetensors", "json", "int8.xml", "int8.bin", "int8.json")}
    table = Quantised.from_json((weights.parent / "tiny.int8.json").read_text())
    assert (table.calibration_faces, [(loss.tier, loss.pictures) for loss in table.losses]) == (
        4,
        [("clean", 4), ("web", 4), ("hard", 4)],
    )
    assert len(re.findall(r"^\| (?:clean|web|hard) \| 4 \|", result.stdout, re.M)) == 3
    assert "Sources it learned from, split test." in result.stdout
    stored = read_model(weights)
    classifier = open_classifier(stored, device="cpu", precision="int8")
    assert str(classifier.choice) == "openvino int8"
    assert 'type="FakeQuantize"' in (weights.parent / "tiny.int8.xml").read_text()
    faces = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    lost = np.abs(classifier.logits(faces) - open_classifier(stored, device="cpu", engine="torch").logits(faces))
    assert 0 < lost.max() < 0.1
    rows = [row for row in read_manifest(data) if row.split == "test"]
    found = score_tiers(FaceChecker(weights, device="cpu", detector=detector, precision="int8"), rows, data, ["clean"])
    wanted = score_tiers(FaceChecker(weights, device="cpu", detector=detector, precision="f32"), rows, data, ["clean"])
    assert table.losses[0].agreement == np.mean(found.verdict == wanted.verdict)

    expected = (
        "int8" if table.is_faithful else open_classifier(stored, device="cpu", engine="openvino").choice.precision
    )
    assert str(open_classifier(stored, device="cpu", engine="openvino").choice) == f"openvino {expected}"
    worse = replace(table, losses=(replace(table.losses[0], agreement=0.9),))
    better = replace(
        table, losses=(replace(table.losses[0], agreement=1.0, auc_int8=table.losses[0].auc_f32, pictures=1000),)
    )
    for one, taken in ((worse, False), (better, True)):
        (weights.parent / "tiny.int8.json").write_text(one.to_json())
        assert (str(open_classifier(stored, device="cpu").choice) == "openvino int8") is taken


@pytest.fixture
def quantized(weights, data, monkeypatch):
    """The files, without the minutes of measuring them."""
    monkeypatch.setattr("training.quantize.measure_losses", lambda *_: ())
    quantize(weights, read_manifest(data), data, 2)
    return weights


def test_foreign_corrupted_and_missing_int8_is_refused_with_the_command(quantized, tiny_model):
    stored, table = read_model(quantized), quantized.with_suffix(".int8.json")
    whole = table.read_text()
    assert str(open_classifier(stored, precision="int8").choice) == "openvino int8"
    with pytest.raises(ModelError, match="name or the path"):
        open_classifier(tiny_model, precision="int8")
    graph = quantized.with_suffix(".int8.bin")
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(ModelError, match=r"is damaged.*training quantize"):
        open_classifier(stored, precision="int8")
    table.write_text("{}")
    with pytest.raises(ModelError, match=r"not a table.*training quantize"):
        open_classifier(stored)
    table.write_text(whole)
    torch.manual_seed(3)
    other = read_model(save_model(type(tiny_model.network)(), tiny_model.config, quantized.parent))
    with pytest.raises(ModelError, match=r"no int8 model of these weights.*training quantize"):
        open_classifier(other, precision="int8")
    assert str(open_classifier(other, device="cpu", precision="f32").choice) == "openvino f32"
    table.unlink()
    with pytest.raises(ModelError, match="no int8 model"):
        open_classifier(stored, precision="int8")


def test_stopped_between_the_files_there_is_no_table(quantized, data, monkeypatch):
    table = quantized.with_suffix(".int8.json")
    assert json.loads(table.read_text())["calibration_faces"] == 2

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.quantize.write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        quantize(quantized, read_manifest(data), data, 2)
    assert not table.exists()
    assert not list(quantized.parent.glob(".int8-*"))


def test_half_of_the_calibration_is_delivered_as_web(data, tiny_model, monkeypatch):
    tiers = []
    monkeypatch.setattr("training.quantize.delivered", lambda given, tier: tiers.append(tier) or delivered(given, tier))
    rows = [row for row in read_manifest(data) if row.split == "train"]
    faces = calibration_faces(rows, tiny_model.config)
    assert (faces.shape, faces.dtype) == ((4, 64, 64, 3), np.uint8)
    assert sorted(tiers) == ["clean", "clean", "web", "web"]


def test_data_without_a_split_is_one_line(weights, data):
    lines = (data / "manifest.csv").read_text().splitlines()
    (data / "manifest.csv").write_text("\n".join(line for line in lines if ",train," not in line))
    result = run(weights, data)
    assert result.exit_code == 1
    assert "split 'train'" in result.stderr
    assert "both classes are needed" in result.stderr
