"""Weights and config travel together, and nothing foreign gets in."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from facecheck.error_rates import Budget
from facecheck.errors import ModelError
from facecheck.files import write_atomically
from facecheck.model import DEFAULT_MODEL, available
from facecheck.model.checkpoint import load_model, save_model
from facecheck.model.config import LARGEST_CONFIG_BYTES, Decision, Knot, Limits, ModelConfig

BUDGETS = (Budget(0.01, 0.9, 0.8, 0.7, 0.85), Budget(0.05, 0.4, 0.9, 0.8, 0.95))


@pytest.fixture
def saved(tiny_model, tmp_path):
    return save_model(tiny_model.network, tiny_model.config, tmp_path)


def test_a_saved_model_comes_back(saved, tiny_model):
    for way in (saved, str(saved), saved.parent):
        loaded = load_model(way)
        assert replace(loaded.config, sha256="") == tiny_model.config
        assert not loaded.network.training
        for name, tensor in loaded.network.state_dict().items():
            torch.testing.assert_close(tensor, tiny_model.network.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_kernels_are_stored_in_half_and_used_in_single_precision(saved):
    assert load_file(saved)["conv1.weight"].dtype == torch.float16
    assert load_file(saved)["bn1.running_var"].dtype == torch.float32
    assert load_model(saved).network.conv1.weight.dtype == torch.float32


def test_the_config_survives_json():
    decision = Decision(1.5, 0.4, 0.3, 0.6, 0.2, (Knot(32, 1.2, 0.1), Knot(64, 1.4, -0.1)), BUDGETS)
    config = ModelConfig("n", "1", decision=decision, limits=Limits(40, 2.0, 2.5, 0.3), training_data=("a", "b"))
    assert ModelConfig.from_json(config.to_json()) == config


def test_a_config_of_0_1_0_still_loads():
    values = {"temperature": 1.5, "threshold": 0.4, "uncertain_from": 0.3, "uncertain_to": 0.6}
    config = ModelConfig.from_json(json.dumps({"name": "n", "version": "0.1.0", "decision": values}))
    assert config.decision == Decision(1.5, 0.4, 0.3, 0.6, bias=0.0, knots=(), budgets=())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"name": 1, "version": 2, "surprise": 3}',
        '{"name": "a", "version": "b", "decision": 7}',
        '{"name": "a", "version": "b", "decision": {"knots": [{"face_px": 3}]}}',
        '{"name": "a", "version": "b", "decision": {"knots": 3}}',
        '{"name": "a", "version": "b", "decision": {"budgets": [[0.01]]}}',
        '{"name": "a", "version": "b", "decision": {"bias": "high"}}',
        '{"name": "a", "version": "b", "crop_margin": NaN}',
        '{"name": "a", "version": "b", "input_size": 224.0}',
        '{"name": "a", "version": "b", "crop_margin": "wide"}',
        '{"name": "a", "version": "b", "mean": [0, 0]}',
        '{"name": "a", "version": "b", "classes": ["real", "fake", "else"]}',
        '{"name": "a", "version": "b", "limits": {"min_face_px": "40"}}',
        '{"name": "a", "version": "b", "limits": {"min_face_px": 1e999}}',
        '{"name": "a", "version": "b", "training_data": "ffhq"}',
        '{"name": "a", "version": "b", "decision": {"budgets": [{"max_fpr": 0.1, "threshold": 0.5, "recall": "much", '
        '"recall_low": 0, "recall_high": 1}]}}',
        "[" * 100_000,
        '{"' + "x" * 100_000 + '": 1}',
    ],
)
def test_a_foreign_config_is_refused(text):
    with pytest.raises(ModelError, match="not a facecheck model config") as caught:
        ModelConfig.from_json(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input_size": -5}, "input_size"),
        ({"input_size": 1_000_000}, "input_size"),
        ({"input_size": "224"}, "input_size"),
        ({"crop_margin": float("nan")}, "crop_margin"),
        ({"crop_margin": 0}, "crop_margin"),
        ({"std": (0.2, 0.0, 0.2)}, "std"),
        ({"mean": (0.2, float("inf"), 0.2)}, "finite"),
    ],
)
def test_configs_without_sense_are_refused(values, message):
    with pytest.raises(ModelError, match=message):
        ModelConfig("a", "b", **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": 0}, "temperature"),
        ({"bias": float("nan")}, "bias"),
        ({"uncertain_from": 0.6, "uncertain_to": 0.7}, "uncertain_from"),
        ({"knots": (Knot(64, 1, 0), Knot(32, 1, 0))}, "must rise"),
        ({"knots": (Knot(64, 1, 0), Knot(64, 1, 0))}, "must rise"),
        ({"budgets": BUDGETS[::-1]}, "must rise"),
        ({"budgets": (Budget(0.01, 1.1, 0, 0, 0),)}, "threshold in"),
        ({"budgets": (Budget(1.0, 0.9, 0, 0, 0),)}, "max_fpr in"),
    ],
)
def test_impossible_decisions_are_refused(values, message):
    with pytest.raises(ModelError, match=message):
        Decision(**values)


@pytest.mark.parametrize("values", [(0, 1, 0), (32, 0, 0), (32, 1, float("inf"))])
def test_impossible_knots_are_refused(values):
    with pytest.raises(ModelError, match="face_px > 0"):
        Knot(*values)


def test_a_budget_moves_the_threshold_and_doubts_what_it_no_longer_accuses():
    decision = Decision(1.5, 0.6, 0.5, 0.7, budgets=BUDGETS)
    strict, loose = decision.within(decision.budget(0.01)), decision.within(decision.budget(0.05))
    assert (strict.uncertain_from, strict.threshold, strict.uncertain_to) == (0.5, 0.9, 0.9)
    assert (loose.uncertain_from, loose.threshold, loose.uncertain_to) == (0.4, 0.4, 0.4)
    assert strict.temperature == 1.5


def test_only_measured_budgets_can_be_asked_for():
    with pytest.raises(
        ModelError, match=r"no false-alarm budget 0\.02 is stored with the model; use one of 0\.01, 0\.05"
    ):
        Decision(budgets=BUDGETS).budget(0.02)
    with pytest.raises(ModelError, match="training calibrate"):
        Decision().budget(0.01)


def test_a_damaged_file_is_refused(saved):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ModelError, match="sha256"):
        load_model(saved)


def claim(path, **changes):
    """Rewrite the config so that its sha256 fits whatever the file holds now."""
    import hashlib

    config = json.loads(path.with_suffix(".json").read_text()) | changes
    config["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(config))


def test_a_file_that_is_no_safetensors_is_refused(saved):
    saved.write_bytes(b"\x80\x04pickle, perhaps")
    claim(saved)
    with pytest.raises(ModelError, match="not a readable safetensors"):
        load_model(saved)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(saved, number):
    tensors = load_file(saved)
    tensors["fc.weight"][0, 3] = number
    save_file(tensors, saved)
    claim(saved)
    with pytest.raises(ModelError, match=r"fc\.weight holds numbers that are not finite"):
        load_model(saved)


def test_weights_of_another_network_are_refused(saved):
    save_file({"conv1.weight": torch.zeros(1)}, saved)
    claim(saved)
    with pytest.raises(ModelError, match="does not fit"):
        load_model(saved)


def test_an_unknown_architecture_is_refused_with_the_known_ones(saved):
    claim(saved, architecture="resnet5000")
    with pytest.raises(ModelError, match=r"resnet5000.*resnet50"):
        load_model(saved)


def test_a_huge_config_is_not_parsed(saved):
    saved.with_suffix(".json").write_text(" " * (LARGEST_CONFIG_BYTES + 1))
    with pytest.raises(ModelError, match="small JSON"):
        load_model(saved)


def test_missing_models_say_what_there_is(saved, tmp_path):
    for name in ("nonsense", str(tmp_path / "a.safetensors"), str(tmp_path / "weights.pt")):
        with pytest.raises(ModelError, match="no model at"):
            load_model(name)
    saved.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="no model at"):
        load_model(saved)


def test_a_long_name_is_not_repeated():
    for name in ("A" * 300, "A" * 5000, "A" * 5000 + "/b.safetensors", "a\0b"):
        with pytest.raises(ModelError, match="no model at") as caught:
            load_model(name)
        assert len(str(caught.value)) < 500


def test_a_folder_must_hold_one_model(saved, tmp_path):
    shutil.copy(saved, tmp_path / "second.safetensors")
    with pytest.raises(ModelError, match="holds 2"):
        load_model(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "a.json"
    target.write_bytes(b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_default_model_ships_and_is_a_resnet50_with_one_logit():
    model = load_model()
    assert available() == [DEFAULT_MODEL]
    assert model.config.architecture == "resnet50"
    assert model.config.licence
    assert model.config.training_data
    with torch.inference_mode():
        assert model.network(torch.zeros(2, 3, 64, 64)).shape == (2, 1)
