"""Every preset trains from photos to a model that loads, and leaves alone what it says it freezes."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facecheck.model.architectures import ARCHITECTURES, AnySizeViT, architecture, build
from facecheck.model.checkpoint import load_model
from training.data import FaceFile
from training.fitting.backbones import BACKBONES
from training.fitting.presets import PRESETS, Preset, preset
from training.fitting.train import train
from training.fitting.trainer import TrainConfig, load_backbone

WEIGHTS = Path(__file__).parents[4] / "shared" / "weights"
SMALL = {"steps": 2, "batch": 4, "phases": ((1.0, 64),), "warmup": 1, "workers": 0, "save_every": 9}


@pytest.fixture
def rows(tmp_path, astronaut):
    """Eight pictures, an epoch of two steps."""
    made = []
    for i in range(8):
        path, label = tmp_path / f"{i}.png", ("real", "fake")[i % 2]
        cv2.imwrite(str(path), (astronaut[::4, ::4, ::-1] * (0.3 + i / 10)).astype(np.uint8))
        made.append(FaceFile(path, label, "s", "train", str(i), (40, 15, 85, 65)))
    return made


def changed(chosen: Preset, rows: list[FaceFile], folder: Path) -> set[str]:
    """Names of the tensors that an epoch changed."""
    config = chosen.train_config(**SMALL)
    model = chosen.model_config("trained", "0", config)
    train(rows, model, config, None, folder)
    loaded = load_model(folder)
    assert (loaded.config.architecture, loaded.config.input_size) == (chosen.architecture, 64)
    with torch.inference_mode():
        assert loaded.network(torch.zeros(1, 3, 64, 64)).isfinite().all()
    torch.manual_seed(config.seed)
    before = build(chosen.architecture).state_dict()
    stored = {key: tensor.half().float() if tensor.dim() > 1 else tensor for key, tensor in before.items()}
    return {key for key, tensor in loaded.network.state_dict().items() if not torch.equal(tensor, stored[key])}


def within(key: str, modules: tuple[str, ...]) -> bool:
    return key.startswith(tuple(f"{module}." for module in modules))


@pytest.fixture
def shallow_vit(monkeypatch):
    """Two of the twelve layers: the whole ViT with its gradients, averages and moments would take 3 GiB."""

    def shallow() -> torch.nn.Module:
        return AnySizeViT(
            image_size=224, patch_size=16, num_layers=2, num_heads=12, hidden_dim=768, mlp_dim=3072, num_classes=1
        )

    monkeypatch.setitem(ARCHITECTURES, "vit_b_16", replace(ARCHITECTURES["vit_b_16"], build=shallow))


@pytest.mark.usefixtures("shallow_vit")
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("resnet50", "mobilenet_v2") else pytest.param(name, marks=pytest.mark.slow)
        for name in PRESETS
        if name != "convnext_swin"
    ],
)
def test_a_preset_trains(name, rows, tmp_path):
    chosen = PRESETS[name]
    moved = changed(chosen, rows, tmp_path / "run")
    head, frozen = architecture(chosen.architecture).head, chosen.frozen()
    assert not [key for key in moved if within(key, frozen)]
    assert [key for key in moved if within(key, (head,))]
    assert all(within(key, (head,)) for key in moved) == (chosen.frozen_stages is None)


def test_the_fusion_trains_at_a_smaller_width(tiny_fusion, rows, tmp_path):
    moved = changed(replace(PRESETS["convnext_swin"], architecture=tiny_fusion), rows, tmp_path / "run")
    for part in ("convnext.features.0", "swin.features.0", "fc"):
        assert [key for key in moved if within(key, (part,))], part


def test_the_default_preset_is_the_default_run():
    assert PRESETS["resnet50"].train_config() == TrainConfig()


def test_overrides_win_and_nothing_is_frozen_without_a_backbone():
    config = PRESETS["densenet169"].train_config(pretrained=False, lr=0.5, phases=((1.0, 96),))
    assert (config.lr, config.frozen) == (0.5, ())
    assert PRESETS["densenet169"].model_config("n", "1", config, licence="MIT").input_size == 96
    assert PRESETS["vit_b_16"].train_config(frozen=("heads",)).frozen == ("heads",)
    with pytest.raises(ValueError, match="needs a backbone"):
        PRESETS["resnet50-frozen"].train_config(pretrained=False)


def test_the_model_carries_the_normalisation_of_its_network():
    xception = PRESETS["xception"]
    assert xception.model_config("n", "1", xception.train_config()).mean == (0.5, 0.5, 0.5)


def test_mobilenets_batch_norms_all_stay_as_they_came():
    network = build("mobilenet_v2").train()
    network.requires_grad_(True)
    frozen = PRESETS["mobilenet_v2"].frozen()
    for name in frozen:
        network.get_submodule(name).eval()
    assert len(frozen) == len(set(frozen))
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) and m.training]
    assert [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.training]


def test_an_unknown_preset_is_refused_with_the_known_ones():
    assert preset("resnet50") is PRESETS["resnet50"]
    with pytest.raises(ValueError, match=r"resnet5000.*resnet50-frozen"):
        preset("resnet5000")


@pytest.mark.parametrize("name", ["resnet50", "resnet50-frozen"])
def test_the_backbone_that_can_be_rebuilt_fits_but_for_its_head(name):
    with torch.device("meta"):
        backbone = BACKBONES[PRESETS[name].backbone].network().state_dict()
        own = build(PRESETS[name].architecture).state_dict()
    assert {key for key in own if key not in backbone or backbone[key].shape != own[key].shape} == {
        "fc.weight",
        "fc.bias",
    }


@pytest.mark.parametrize(("name", "left"), [("mobilenet_v2", ("classifier",)), ("densenet169", ("classifier",))])
def test_the_backbone_named_by_a_preset_fits(name, left):
    path = WEIGHTS / f"{PRESETS[name].backbone}.safetensors"
    if not path.is_file():
        pytest.skip(f"needs ../shared/weights/{path.name}, which is not part of the repository")
    network = build(PRESETS[name].architecture)
    counters = {key for key in network.state_dict() if key.endswith("num_batches_tracked")}
    fresh = set(load_backbone(network, path)) - counters
    assert fresh
    assert all(within(key, left) for key in fresh)
