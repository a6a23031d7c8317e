"""Batch norms and last layer are made anew: as computed by hand, from the learning splits alone; the rest stays."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from facecheck.model.architectures import build
from facecheck.model.checkpoint import Model, load_model, save_model
from facecheck.model.config import IMAGENET_MEAN, IMAGENET_STD, Decision, ModelConfig
from training.data import FaceFile, arrived, sampling_weights
from training.fitting.refit import features_of, refit
from training.unseen.features import View, extract


@pytest.fixture
def model(tmp_path) -> Model:
    torch.manual_seed(0)
    config = ModelConfig("tiny", "1", "resnet50", input_size=64, decision=replace(Decision(), temperature=3.0))
    return load_model(save_model(build("resnet50"), config, tmp_path / "before"))


@pytest.fixture
def rows(tmp_path, astronaut) -> list[FaceFile]:
    """Brighter faces are fakes; in the world it is the other way round."""
    rng, made = np.random.default_rng(0), []
    for number in range(24):
        fake, split = number % 2, "world" if number >= 20 else ("train", "val")[number % 4 // 2]
        bright = (0.9 if fake else 0.5) if split != "world" else (0.5 if fake else 0.9)
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), (astronaut[::4, ::4, ::-1] * (bright + rng.uniform(-0.05, 0.05))).astype(np.uint8))
        label = "fake" if fake else "real"
        made.append(FaceFile(path, label, f"s{number % 3}", split, str(number), (40, 15, 85, 65)))
    return made


def test_the_layer_is_scikit_learns_of_the_learning_splits(model, rows, tmp_path):
    written = load_model(refit(model, rows, tmp_path / "after", ("web",), 0.01, norm_faces=0))

    learned = [row for row in rows if row.split != "world"]
    seen = extract(features_of(model), learned, View(tier="web"), tmp_path / "own", 1.3).astype(np.float64)
    scale = np.where(seen.std(0) > 0, seen.std(0), 1)
    weights = sampling_weights(learned)
    reference = LogisticRegression(C=0.01, max_iter=500)
    reference.fit((seen - seen.mean(0)) / scale, [row.target for row in learned], weights / weights.mean())
    expected = reference.decision_function((seen - seen.mean(0)) / scale)
    layer = written.network.fc
    found = seen @ layer.weight[0].numpy(force=True) + layer.bias.numpy(force=True)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_all_other_weights_stay_and_the_old_decision_goes(model, rows, tmp_path):
    written = load_model(refit(model, rows, tmp_path / "after", ("web",), version="2", norm_faces=0))

    before, after = model.network.state_dict(), written.network.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}
    assert written.config.decision == Decision()
    assert written.config.version == "2"


def test_a_class_too_few_is_refused(model, rows, tmp_path):
    with pytest.raises(ValueError, match="both classes"):
        refit(model, [row for row in rows if row.label == "real"], tmp_path / "after", ("web",))


def test_features_of_a_killed_run_are_not_computed_again(model, rows, tmp_path: Path, monkeypatch):
    first = load_model(refit(model, rows, tmp_path / "after", ("web",), norm_faces=4))
    monkeypatch.setattr("training.unseen.extractor.Extractor.__call__", lambda *_: pytest.fail("computed again"))
    again = load_model(refit(model, rows, tmp_path / "after", ("web",), norm_faces=4))
    assert again.config.sha256 == first.config.sha256


def test_batch_norms_know_the_faces_as_they_arrive(model, rows, tmp_path):
    """The first one: its input is the convolution of the faces, whose statistics are computed here."""
    chosen = [row for row in rows if row.split != "world"]
    written = load_model(refit(model, rows, tmp_path / "after", ("clean",), norm_faces=48))

    faces = np.stack([arrived(row, "clean", 64, 1.3) for row in chosen]).transpose(0, 3, 1, 2) / 255
    pixels = (faces - np.reshape(IMAGENET_MEAN, (1, 3, 1, 1))) / np.reshape(IMAGENET_STD, (1, 3, 1, 1))
    with torch.inference_mode():
        seen = model.network.conv1(torch.from_numpy(pixels).float())
    # Bright and dark ones come in any number: what they all agree on lies between the extremes.
    each = seen.mean(dim=(2, 3))
    found = written.network.bn1.running_mean
    assert torch.all(found >= each.amin(dim=0) - 1e-3)
    assert torch.all(found <= each.amax(dim=0) + 1e-3)
    assert not torch.allclose(found, model.network.bn1.running_mean, atol=1e-3)


def test_weights_go_some_of_the_way_back_to_the_backbone(model, rows, tmp_path):
    torch.manual_seed(1)
    start = {name: tensor for name, tensor in build("resnet50").state_dict().items() if not name.startswith("fc.")}
    save_file(start, tmp_path / "backbone.safetensors")
    way = {"norm_faces": 0, "backbone": tmp_path / "backbone.safetensors", "backbone_share": 0.25}
    written = load_model(refit(model, rows, tmp_path / "after", ("web",), **way))

    name = "layer3.0.conv2.weight"
    expected = 0.75 * model.network.state_dict()[name] + 0.25 * start[name]
    torch.testing.assert_close(written.network.state_dict()[name], expected, atol=1e-3, rtol=1e-2)
