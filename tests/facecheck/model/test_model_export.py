"""An exported model answers as torch does, is judged by the same commands, and a wrong one is never written."""

import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from facecheck.cli import main
from facecheck.errors import ModelError
from facecheck.model import checkpoint
from facecheck.model.checkpoint import export_onnx, load_model, save_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture
def weights(tiny_model, tmp_path):
    return save_model(tiny_model.network, tiny_model.config, tmp_path / "model")


def test_the_exported_model_answers_as_torch_does_at_any_batch_size(weights, tmp_path):
    target = tmp_path / "tiny.onnx"
    result = CliRunner().invoke(main, ["model", "export", str(weights), "-o", str(target)])
    assert result.exit_code == 0
    assert float(re.search(r"at most (\S+)", result.stdout)[1]) < checkpoint.LARGEST_DIFFERENCE
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    for count in (1, 7):
        faces = np.random.default_rng(1).normal(size=(count, 3, 64, 64)).astype(np.float32)
        with torch.inference_mode():
            wanted = load_model(weights).network(torch.from_numpy(faces)).numpy()
        np.testing.assert_allclose(session.run(["logits"], {"faces": faces})[0], wanted, atol=1e-4)


def test_it_is_one_valid_file_that_tells_nothing_of_this_machine(weights, tmp_path):
    target = tmp_path / "tiny.onnx"
    export_onnx(weights, target)
    onnx.checker.check_model(onnx.load(target), full_check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "tiny.json", "tiny.onnx"]
    assert b".py" not in target.read_bytes()
    assert json.loads(target.with_suffix(".json").read_text()) == json.loads(weights.with_suffix(".json").read_text())


def test_training_evaluate_reads_it(weights, tmp_path):
    from training.evaluation.subject import load_onnx

    export_onnx(weights, tmp_path / "tiny.onnx")
    read, faces = load_onnx(tmp_path / "tiny.onnx"), torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(read.network(faces), load_model(weights).network(faces), atol=1e-4, rtol=0)


def test_the_config_of_other_weights_is_seen(weights, tmp_path):
    from training.evaluation.subject import load_onnx

    target = tmp_path / "tiny.onnx"
    export_onnx(weights, target)
    config = json.loads(target.with_suffix(".json").read_text())
    target.with_suffix(".json").write_text(json.dumps(config | {"sha256": "0" * 64}))
    with pytest.raises(ModelError, match="config of other weights"):
        load_onnx(target)


def test_a_graph_that_answers_otherwise_is_not_written(weights, tmp_path, monkeypatch):
    graph = checkpoint._graph

    def wrong(model):
        other = onnx.load_from_string(graph(model))
        bias = next(item for item in other.graph.initializer if item.name == "fc.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
        return other.SerializeToString()

    monkeypatch.setattr(checkpoint, "_graph", wrong)
    with pytest.raises(ModelError, match=r"by 0\.01; nothing was written"):
        export_onnx(weights, tmp_path / "tiny.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_done_is_one_line(weights, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.with_suffix(".json").write_text("{}")
    other.with_suffix(".safetensors").touch()
    for words, told in (
        ([str(weights), "-o", str(other.with_suffix(".pt"))], "does not end in .onnx"),
        (["nonsense", "-o", str(tmp_path / "x.onnx")], "no model at 'nonsense'"),
        ([str(weights), "-o", str(other.with_suffix(".onnx"))], "is the config of another model"),
        ([str(weights), "-o", str(tmp_path / "nowhere" / "x.onnx")], "No such file or directory"),
    ):
        result = CliRunner().invoke(main, ["model", "export", *words])
        assert result.exit_code in (1, 2)
        assert told in result.stderr
    monkeypatch.setattr(checkpoint, "NEEDS", ("onnx", "a_package_that_nobody_has"))
    with pytest.raises(ModelError, match=r'a_package_that_nobody_has: pip install "facecheck\[export\]"'):
        export_onnx(weights, tmp_path / "x.onnx")
