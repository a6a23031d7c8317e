"""Every registered network is the one its library publishes, with one logit, and survives a model file."""

import sys

import pytest
import torch
from torch import nn

from facecheck.errors import ModelError
from facecheck.model.architectures import ARCHITECTURES, Architecture, architecture, build, stages
from facecheck.model.checkpoint import load_model, save_model
from facecheck.model.config import ModelConfig

# Published parameters (the metadata of torchvision's weights; timm: 22.86 M) and the width of the features that the
# published 1000 classes read.
PUBLISHED = {
    "resnet50": (25_557_032, 2048),
    "mobilenet_v2": (3_504_872, 1280),
    "densenet169": (14_149_480, 1664),
    "efficientnet_b4": (19_341_616, 1792),
    "efficientnet_b6": (43_040_704, 2304),
    "xception": (22_855_952, 2048),
    "vit_b_16": (86_567_656, 768),
    "convnext_large": (197_767_336, 1536),
    "swin_b": (87_768_224, 1024),
}


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(name)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_has_its_published_parameters_less_the_999_classes(name):
    published, width = PUBLISHED[name]
    assert parameters(on_meta(name)) == published - 999 * (width + 1)


def test_the_fusion_is_the_sum_of_its_parts():
    heads = (1536 + 1) + (1024 + 1)
    parts = parameters(on_meta("convnext_large")) + parameters(on_meta("swin_b")) - heads
    assert parameters(on_meta("convnext_swin")) == parts + 1536 + 1024 + 1


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "tiny"])
def test_any_input_size_gives_one_logit_a_face(name):
    network = on_meta(name).eval()
    for side in (architecture(name).input_size, 64):
        assert network(torch.empty(2, 3, side, side, device="meta")).shape == (2, 1)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "tiny"])
def test_stages_and_head_hold_all_parameters_once(name):
    network, head = on_meta(name), architecture(name).head
    homes = (*stages(network, head), head)
    counts = {
        key: sum(key.startswith(f"{home}.") for home in homes)
        for key, _ in network.named_parameters()
        if key != "class_token"
    }
    assert set(counts.values()) == {1}


def test_stages_are_in_the_order_of_the_flow():
    assert stages(on_meta("resnet50"), "fc") == ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
    assert stages(on_meta("densenet169"), "classifier")[:3] == (
        "features.conv0",
        "features.norm0",
        "features.denseblock1",
    )


def filled(name: str) -> nn.Module:
    """A network whose every tensor is random, exact in half precision, and in use."""
    torch.manual_seed(0)
    network = build(name)
    for tensor in network.parameters():
        nn.init.normal_(tensor, std=0.1)
    network.load_state_dict(
        {key: tensor.half().float() if tensor.dim() > 1 else tensor for key, tensor in network.state_dict().items()}
    )
    return network.eval()


def assert_survives_a_file(name: str, folder) -> None:
    network = filled(name)
    save_model(network, ModelConfig("m", "0", name, input_size=64), folder)
    loaded = load_model(folder).network
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))
    faces = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(faces), network(faces), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mobilenet_v2", "xception"])
def test_a_saved_network_gives_the_same_logits(name, tmp_path):
    assert_survives_a_file(name, tmp_path)


def test_a_saved_fusion_gives_the_same_logits(tiny_fusion, tmp_path):
    assert_survives_a_file(tiny_fusion, tmp_path)


class Windowed(nn.Module):
    """Has a table that is computed when the network is built and never saved, as Swin's indices in timm."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 1)
        self.register_buffer("order", torch.arange(3).flip(0), persistent=False)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.fc(faces.mean(dim=(2, 3))[:, self.order])


def test_tables_that_are_in_no_file_are_computed_again(tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "windowed", Architecture(Windowed, head="fc"))
    assert_survives_a_file("windowed", tmp_path)


def small_vit(**changes: int) -> dict[str, int]:
    sizes = {"image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
    return sizes | {"num_classes": 1} | changes


def test_the_vit_is_torchvisions_at_its_own_size_and_takes_others():
    from torchvision.models import VisionTransformer

    from facecheck.model.architectures import AnySizeViT

    reference, network = VisionTransformer(**small_vit()).eval(), AnySizeViT(**small_vit()).eval()
    nn.init.normal_(reference.heads.head.weight)
    network.load_state_dict(reference.state_dict())
    faces = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(faces), reference(faces), rtol=0, atol=0)
        assert network(torch.rand(2, 3, 96, 40)).shape == (2, 1)


def test_positions_keep_their_place_when_the_grid_grows():
    from facecheck.model.architectures import AnySizeViT

    network = AnySizeViT(**small_vit())
    rows = torch.arange(4.0).repeat_interleave(4)  # Position (y, x) of the 4 x 4 grid holds y.
    with torch.no_grad():
        network.encoder.pos_embedding[0, 0] = -7
        network.encoder.pos_embedding[0, 1:] = rows[:, None]
        grown = network._positions(8, 6)[0, :, 0]
    assert grown[0] == -7
    grid = grown[1:].reshape(8, 6)
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 6))
    assert (grid.diff(dim=0) > 0).all()


def test_without_timm_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"facecheck\[training\]"):
        build("xception")
