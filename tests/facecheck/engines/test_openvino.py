"""OpenVINO answers as torch does, from any thread, and a start from the cache loads no torch."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from facecheck import crop
from facecheck.checker import FaceChecker
from facecheck.engines.classifier import open_classifier
from facecheck.engines.runtime import fastest_precision
from facecheck.engines.torch import TorchEngine
from facecheck.errors import ModelError
from facecheck.model import read_model
from facecheck.model.checkpoint import Model, save_model

pytest.importorskip("openvino")

NATIVE = pytest.mark.skipif(fastest_precision() != "bf16", reason="needs a processor with bfloat16")


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def portraits(grace, astronaut) -> np.ndarray:
    boxes = ((grace, (180, 60, 330, 250)), (astronaut, (170, 60, 280, 210)))
    return np.stack([crop.face(p, box, 224, 1.3) for p, box in boxes for p in (p, np.ascontiguousarray(p[:, ::-1]))])


@pytest.fixture(scope="module")
def reference(tiny_model) -> TorchEngine:
    return TorchEngine(tiny_model, torch.device("cpu"))


@pytest.mark.parametrize("count", [0, 1, 16, 17, 37])
def test_any_number_of_faces_gets_the_logits_of_torch(tiny_model, reference, faces, count):
    found = open_classifier(tiny_model, engine="openvino", precision="f32").logits(faces[:count])
    assert (found.shape, found.dtype) == ((count,), np.float32)
    np.testing.assert_allclose(found, reference.logits(faces[:count]), atol=1e-4)


def test_the_normalisation_is_that_of_the_config(tiny_model, faces):
    config = replace(tiny_model.config, mean=(0.1, 0.5, 0.9), std=(0.5, 0.2, 0.9))
    model = Model(tiny_model.network, config)
    found = open_classifier(model, engine="openvino", precision="f32").logits(faces)
    np.testing.assert_allclose(found, TorchEngine(model, torch.device("cpu")).logits(faces), atol=1e-4)


def test_views_and_read_only_faces_are_faces_too(tiny_model, reference, faces):
    classifier = open_classifier(tiny_model, engine="openvino", precision="f32")
    frozen = faces[:3].copy()
    frozen.setflags(write=False)
    for given in (frozen, faces[:6:2], faces[:3, :, ::-1]):
        np.testing.assert_allclose(classifier.logits(given), reference.logits(given), atol=1e-4)


def test_the_default_model_has_the_logits_of_torch(portraits):
    stored = read_model()
    wanted = open_classifier(stored, device="cpu", engine="torch").logits(portraits)
    np.testing.assert_allclose(
        open_classifier(stored, device="cpu", engine="openvino", precision="f32").logits(portraits), wanted, atol=1e-3
    )


@NATIVE
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_bf16_changes_no_clear_answer(portraits, engine):
    stored = read_model()
    wanted = open_classifier(stored, device="cpu", engine="torch").logits(portraits)
    classifier = open_classifier(stored, device="cpu", engine=engine, precision="bf16")
    assert str(classifier.choice) == f"{engine} bf16"
    found = classifier.logits(portraits)
    assert np.array_equal(found < 0, wanted < 0)
    assert 0 < np.abs(found - wanted).max() < 0.5


def test_threads_share_a_backend(tiny_model, faces):
    classifier = open_classifier(tiny_model, engine="openvino")
    parts = [faces[i % 7 : i % 7 + 1 + i % 20] for i in range(60)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(classifier.logits, parts))
    for part, logits in zip(parts, found, strict=True):
        np.testing.assert_allclose(logits, classifier.logits(part), atol=1e-5)


def test_gradients_are_those_of_torch_and_the_network_is_loaded_once(tiny_model, reference, faces, tmp_path):
    stored = read_model(save_model(tiny_model.network, tiny_model.config, tmp_path))
    classifier = open_classifier(stored, engine="openvino")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(classifier.last_features, [faces[:2]] * 4))
    for mine, wanted in zip(found[0], reference.last_features(faces[:2]), strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-2)
    stored.path.unlink()  # No second look at it is needed.
    classifier.last_features(faces[:1])


def test_weights_that_were_replaced_give_no_heat_maps_of_another_model(tiny_model, faces, tmp_path):
    path = save_model(tiny_model.network, tiny_model.config, tmp_path)
    classifier = open_classifier(read_model(path), engine="openvino")
    other = type(tiny_model.network)()
    save_model(other, tiny_model.config, tmp_path)
    with pytest.raises(ModelError, match="was replaced"):
        classifier.last_features(faces[:1])


def test_two_networks_that_claim_one_sha256_are_not_confused(tiny_model, faces):
    torch.manual_seed(1)
    other = Model(type(tiny_model.network)().eval(), tiny_model.config)
    found = [open_classifier(model, engine="openvino", precision="f32").logits(faces) for model in (tiny_model, other)]
    np.testing.assert_allclose(found[1], TorchEngine(other, torch.device("cpu")).logits(faces), atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_damaged_weights_are_refused_though_their_network_is_in_the_cache(tiny_model, tmp_path):
    path = save_model(tiny_model.network, tiny_model.config, tmp_path)
    open_classifier(read_model(path), engine="openvino")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="sha256"):
        FaceChecker(path, engine="openvino")


def test_what_openvino_cannot_run_is_left_to_torch_unless_it_was_asked_for(tiny_model, faces):
    class Strange(torch.nn.Module):
        def forward(self, x):
            return x.sum(dim=(1, 2, 3))[:, None] if float(x.mean()) > 9 else x.mean(dim=(1, 2, 3))[:, None]

    model = Model(Strange().eval(), tiny_model.config)
    assert str(open_classifier(model, device="cpu").choice) == "torch f32"
    with pytest.raises(ModelError, match="engine='torch'"):
        open_classifier(model, device="cpu", engine="openvino")


WITHOUT_TORCH = """
import sys
from facecheck.cli import main
try:
    main(["predict", "--json", sys.argv[1]])
finally:
    print(sorted({"torch", "torchvision", "facenet_pytorch", "openvino_telemetry"} & set(sys.modules)))
"""


def test_a_start_from_the_cache_loads_no_torch(grace_path):
    FaceChecker()
    called = [sys.executable, "-c", WITHOUT_TORCH, str(grace_path)]
    result = subprocess.run(called, capture_output=True, text=True, check=False)
    answer, loaded = result.stdout.splitlines()
    assert (loaded, result.stderr) == ("[]", "")
    assert '"verdict": "real"' in answer
