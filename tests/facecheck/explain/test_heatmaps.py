"""Heat maps depend on the weights and on the face, and their hot places matter more than their cold ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models import SwinTransformer

import facecheck
from facecheck import crop
from facecheck.engines.classifier import Classifier
from facecheck.engines.torch import TorchEngine
from facecheck.errors import ImageError, ModelError, NoFeatureMapError
from facecheck.explain import heatmaps
from facecheck.explain.explanation import explain
from facecheck.explain.heatmaps import METHODS, HeatMap, grad_cam, occlusion
from facecheck.model.architectures import ARCHITECTURES, build
from facecheck.model.checkpoint import Model
from facecheck.model.config import ModelConfig
from tests.conftest import TinyNetwork

PORTRAIT = np.array([180.0, 60.0, 330.0, 250.0])


class Corner(torch.nn.Module):
    """Looks at the upper left corner and at nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 1, 1, bias=False)
        self.fc = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.conv1.weight, 1.0)
        torch.nn.init.constant_(self.fc.weight, 1.0)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv1(faces).relu()[:, :, :16, :16].mean(dim=(2, 3)))


def both_ways(method, classifier: Classifier, face: np.ndarray) -> np.ndarray:
    """What speaks for fake less what speaks for real; untrained weights often have one of the two alone."""
    fake, real = method(classifier, np.concatenate([face, face]), [True, False])
    return fake - real


def classifier_of(network: torch.nn.Module, side: int = 64) -> Classifier:
    config = ModelConfig("tiny", "0", "tiny", input_size=side, mean=(0, 0, 0), std=(1, 1, 1))
    return Classifier(TorchEngine(Model(network.eval(), config), torch.device("cpu")))


@pytest.fixture(scope="module")
def face(astronaut) -> np.ndarray:
    return crop.face(astronaut, PORTRAIT, 64, 1.3)[None]


@pytest.mark.parametrize("method", METHODS)
def test_the_map_shows_where_a_network_looks(method):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1, 64, 64, 3), np.uint8)
    noise[:, :16, :16] = 255
    (heat,) = METHODS[method](classifier_of(Corner()), noise, [True])
    assert heat.shape == (64, 64)
    assert heat.dtype == np.float32
    assert heat.max() == pytest.approx(1)
    assert heat[:16, :16].mean() > 1.5 * heat[32:, 32:].mean()


@pytest.mark.parametrize("method", METHODS)
def test_random_weights_change_the_map(method, face):
    maps = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        maps.append(both_ways(METHODS[method], classifier_of(TinyNetwork()), face))
    torch.manual_seed(0)
    again = both_ways(METHODS[method], classifier_of(TinyNetwork()), face)
    assert not np.allclose(maps[0], maps[1], atol=0.05)
    np.testing.assert_allclose(maps[0], again, atol=1e-4)


def test_random_weights_change_the_map_of_the_default_model(default_checker, astronaut):
    """The sanity check of Adebayo et al. 2018."""
    face = crop.face(astronaut, PORTRAIT, 224, 1.3)[None]
    torch.manual_seed(0)
    untrained = Classifier(TorchEngine(Model(build("resnet50").eval(), default_checker.config), torch.device("cpu")))
    trained, other = (both_ways(grad_cam, classifier, face) for classifier in (default_checker.classifier, untrained))
    assert np.corrcoef(trained.ravel(), other.ravel())[0, 1] < 0.7


@pytest.fixture(scope="module")
def portraits(default_checker, astronaut, grace) -> list[np.ndarray]:
    found = default_checker.detector.detect([astronaut, grace])
    return [
        crop.face(picture, each.boxes[0], 224, 1.3) for picture, each in zip((astronaut, grace), found, strict=True)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_face_without_its_hot_places_speaks_less_for_what_they_explain(
    method, default_checker, portraits, monkeypatch
):
    """To cover any place moves the score; to cover what speaks for a photograph moves it more towards "generated"."""
    monkeypatch.setattr(heatmaps, "GRID", 4)  # Windows that touch: a quarter of the network's work.
    for face in portraits:
        heat = METHODS[method](default_checker.classifier, face[None], [False])[0]
        order = np.argsort(heat, axis=None, kind="stable")
        tenth = len(order) // 10
        copies = []
        for places in (order[-tenth:], order[:tenth]):
            copy = face.reshape(-1, 3).copy()
            copy[places] = face.reshape(-1, 3).mean(axis=0).astype(np.uint8)
            copies.append(copy.reshape(face.shape))
        hot, cold = default_checker.classifier.logits(np.stack(copies))
        assert hot > cold


def test_both_directions_differ(face):
    torch.manual_seed(0)
    classifier = classifier_of(TinyNetwork())
    for method in METHODS.values():
        fake, real = method(classifier, np.concatenate([face, face]), [True, False])
        assert not np.allclose(fake, real)


def test_the_map_lies_on_the_face(astronaut):
    values = np.zeros((64, 64), np.float32)
    values[:32] = 1
    heat = HeatMap("occlusion", "fake", values, (100.0, 50.0, 200.0, 150.0))
    shown = heat.over(astronaut)
    changed = (shown != astronaut).any(axis=2)
    assert shown.shape == astronaut.shape
    assert not changed[:50].any()
    assert not changed[:, 200:].any()
    assert changed[50:150, 100:200].mean() > 0.9
    assert shown[60:80, 110:190].mean() > shown[130:145, 110:190].mean()
    outside = HeatMap("occlusion", "fake", values, (0.2, 0.2, 0.4, 0.4))
    assert (outside.over(astronaut) == astronaut).all()


def test_a_network_without_feature_maps_is_told_to_use_occlusion(face):
    class Flat(TinyNetwork):
        def forward(self, faces):
            return self.fc(self.bn1(self.conv1(faces)).mean(dim=(2, 3))) * 1

    flat = Flat()
    flat.bn1 = torch.nn.Flatten()
    flat.conv1, flat.fc = torch.nn.Flatten(), torch.nn.Linear(64 * 64 * 3, 1)
    flat.forward = lambda faces: flat.fc(flat.conv1(faces))
    flat.conv1.weight = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(ModelError, match="use occlusion"):
        grad_cam(classifier_of(flat), face, [True])


def little_swin() -> SwinTransformer:
    return SwinTransformer([4, 4], 8, [2, 2], [1, 2], [7, 7], num_classes=1)


def test_the_map_of_a_swin_lies_on_the_face(monkeypatch):
    """Its features come with the channels last; a map over channels would say nothing."""
    monkeypatch.setitem(ARCHITECTURES, "swin_b", replace(ARCHITECTURES["swin_b"], build=little_swin))
    engine = TorchEngine(Model(build("swin_b").eval(), ModelConfig("swin", "0", "swin_b", 64)), torch.device("cpu"))
    features, gradients = engine.last_features(np.zeros((1, 64, 64, 3), np.uint8))
    assert features.shape == gradients.shape == (1, 16, 8, 8)


def test_a_model_that_allows_no_grad_cam_is_explained_by_occlusion(checker, grace, monkeypatch):
    def refuse(_):
        raise NoFeatureMapError("allows no Grad-CAM")

    monkeypatch.setattr(checker.classifier, "last_features", refuse)
    for methods in (("grad-cam",), ("grad-cam", "occlusion")):
        (face,) = explain(grace, methods=methods, checker=checker).faces
        assert [heat.method for heat in face.heat_maps] == ["occlusion"]


def test_weights_that_were_replaced_are_no_reason_for_another_map(checker, grace, monkeypatch):
    def refuse(_):
        raise ModelError("was replaced while it was in use")

    monkeypatch.setattr(checker.classifier, "last_features", refuse)
    with pytest.raises(ModelError, match="was replaced"):
        explain(grace, checker=checker)


def test_explain_gives_everything_of_a_face(checker, grace_path, grace):
    found = explain(grace_path, methods=("grad-cam", "occlusion"), checker=checker)
    assert found.prediction.source == str(grace_path)
    assert (found.picture == grace).all()
    (face,) = found.faces
    assert face.face == found.prediction.faces[0]
    assert face.face.stability is not None
    assert face.pixels.shape == (64, 64, 3)
    assert [heat.method for heat in face.heat_maps] == ["grad-cam", "occlusion"]
    x0, _, x1, _ = face.heat_maps[0].region
    assert x0 < face.face.box[0] < face.face.box[2] < x1
    assert face.heat_maps[0].speaks_for == ("fake" if face.face.p_fake >= 0.5 else "real")


def test_explaining_changes_no_verdict(checker, grace):
    plain = checker.predict(grace, stability=True)
    assert explain(grace, checker=checker).prediction.faces == plain.faces


def test_explain_without_faces_and_without_a_picture(checker, cat):
    nothing = explain(cat, checker=checker)
    assert (nothing.prediction.verdict, nothing.faces) == ("no_face", ())
    broken = explain(b"junk", checker=checker)
    assert broken.picture is None
    assert "not a picture" in broken.prediction.error
    with pytest.raises(ImageError, match="no such file"):
        explain("missing.jpg", checker=checker)
    with pytest.raises(ValueError, match="no heat maps by"):
        explain(cat, methods=("tea leaves",), checker=checker)


def test_it_is_public():
    assert facecheck.explain is explain
    assert occlusion is METHODS["occlusion"]
