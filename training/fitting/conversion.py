"""The networks of others for ours: Keras' ResNet50 in the TensorFlow.js format, vision transformers in ONNX graphs.

ResNet50 as Keras publishes it (MSRA's caffe weights) becomes torchvision's; transformers as the library transformers
exports them become timm's.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facecheck.model.config import IMAGENET_MEAN, IMAGENET_STD

Arrays = Mapping[str, npt.NDArray[np.float32]]
BLOCKS = (3, 4, 6, 3)
CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Of RGB in 0..255; these weights take BGR minus it, and no division."""
KERAS_EPSILON, TORCH_EPSILON = 1e-3, 1e-5


def resnet50(model: Path) -> dict[str, Tensor]:
    """The state of `torchvision.models.resnet50()` from model.json and the shards beside it.

    The convolutions' biases go into the means of the batch norms, the input's scaling into the first convolution. The
    stride of 2 sits on the 1x1 convolution of a block in MSRA's network, on the 3x3 one in torchvision's; that works.
    """
    arrays = tfjs_arrays(model)
    state: dict[str, Tensor] = {}
    for conv, norm, their_conv, their_norm in _layers():
        state |= _conv_and_norm(arrays, conv, norm, their_conv, their_norm)
    return state | {"fc.weight": tensor(arrays["fc1000/kernel"].T), "fc.bias": tensor(arrays["fc1000/bias"])}


def tfjs_arrays(model: Path) -> Arrays:
    """The weights of a TensorFlow.js layers model by name, read-only.

    Raises:
        ValueError: they are not plain float32, or the shards are not as long as they should be.
    """
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for group in json.loads(model.read_text(encoding="utf-8"))["weightsManifest"]:
        data = b"".join((model.parent / Path(path).name).read_bytes() for path in group["paths"])
        start = 0
        for weight in group["weights"]:
            if weight["dtype"] != "float32" or "quantization" in weight:
                raise ValueError(f"{weight['name']} is not plain float32")
            count = int(np.prod(weight["shape"]))
            arrays[weight["name"]] = np.frombuffer(data, np.float32, count, start).reshape(weight["shape"])
            start += 4 * count
        if start != len(data):
            raise ValueError(f"the shards hold {len(data)} bytes, the weights {start}")
    return arrays


def tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A float32 copy."""
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _layers() -> Iterator[tuple[str, str, str, str]]:
    """Of each convolution and its batch norm: torchvision's two names, Keras' two names."""
    yield "conv1", "bn1", "conv1", "bn_conv1"
    for stage, count in enumerate(BLOCKS, start=1):
        for block in range(count):
            ours, theirs = f"layer{stage}.{block}", f"{stage + 1}{'abcdef'[block]}_branch"
            for number, part in enumerate("abc", start=1):
                yield f"{ours}.conv{number}", f"{ours}.bn{number}", f"res{theirs}2{part}", f"bn{theirs}2{part}"
            if block == 0:
                yield f"{ours}.downsample.0", f"{ours}.downsample.1", f"res{theirs}1", f"bn{theirs}1"


def _conv_and_norm(arrays: Arrays, conv: str, norm: str, their_conv: str, their_norm: str) -> dict[str, Tensor]:
    kernel = arrays[f"{their_conv}/kernel"].transpose(3, 2, 0, 1).astype(np.float64)
    bias = arrays[f"{their_conv}/bias"].astype(np.float64)
    if conv == "conv1":
        kernel = kernel[:, ::-1]
        shift = 255 * np.array(IMAGENET_MEAN) - np.array(CAFFE_MEAN)
        bias = bias + (kernel.sum((2, 3)) * shift).sum(1)
        kernel = kernel * (255 * np.array(IMAGENET_STD))[None, :, None, None]
    mean, variance = (arrays[f"{their_norm}/moving_{name}"].astype(np.float64) for name in ("mean", "variance"))
    return {
        f"{conv}.weight": tensor(kernel),
        f"{norm}.weight": tensor(arrays[f"{their_norm}/gamma"]),
        f"{norm}.bias": tensor(arrays[f"{their_norm}/beta"]),
        f"{norm}.running_mean": tensor(mean - bias),
        f"{norm}.running_var": tensor(variance + KERAS_EPSILON - TORCH_EPSILON),
        f"{norm}.num_batches_tracked": torch.tensor(0),
    }


Array = npt.NDArray[np.float32]
DEPTH = 12


@dataclass(frozen=True)
class Graph:
    """The weights of an ONNX graph.

    Attributes:
        named: initialisers by name.
        matrices: the constant factor of each matrix product by the name of its node, de-quantised where it is int8.
    """

    named: Mapping[str, npt.NDArray[np.generic]]
    matrices: Mapping[str, Array]

    @classmethod
    def read(cls, path: Path) -> "Graph":
        """Of a file; weights that lie in files beside it are not read."""
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path), load_external_data=False).graph
        named = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        matrices: dict[str, Array] = {}
        for node in graph.node:
            if node.op_type == "MatMulInteger":
                matrices[node.name.replace("/MatMul_quant", "").strip("/")] = _dequantised(named, node.input[1])
            elif node.op_type == "MatMul" and node.input[1] in named:
                matrices[node.name] = named[node.input[1]]
        return cls(named, matrices)

    def pair(self, ours: str, theirs: str) -> dict[str, Tensor]:
        """`weight` and `bias` of a norm."""
        return {f"{ours}.{kind}": tensor(self.named[f"{theirs}.{kind}"]) for kind in ("weight", "bias")}

    def matrix(self, part: str) -> Array:
        """(out, in) of the product whose node's name has `part` in it as whole steps of its path.

        Raises:
            ValueError: none has, or several have.
        """
        found = [value for name, value in self.matrices.items() if f"/{part}/" in f"/{name}/"]
        if len(found) != 1:
            raise ValueError(f"{len(found)} matrix products are named {part}")
        return found[0].T


def _dequantised(named: Mapping[str, npt.NDArray[np.generic]], name: str) -> Array:
    base = name.removesuffix("_quantized")
    codes, zero, scale = (named[part].astype(np.float32) for part in (name, f"{base}_zero_point", f"{base}_scale"))
    return np.asarray((codes - zero) * scale, dtype=np.float32)


def clip_b16(model: Path) -> dict[str, Tensor]:
    """The state of timm's `vit_base_patch16_clip_quickgelu_224` with 512 outputs: CLIP's image tower and projection."""
    graph, top = Graph.read(model), "vision_model."
    state = {
        "cls_token": tensor(graph.named[f"{top}embeddings.class_embedding"]).reshape(1, 1, -1),
        "pos_embed": tensor(graph.named[f"{top}embeddings.position_embedding.weight"])[None],
        "patch_embed.proj.weight": tensor(graph.named[f"{top}embeddings.patch_embedding.weight"]),
        "head.weight": tensor(graph.matrix("visual_projection")),
        "head.bias": torch.zeros(512),
    }
    state |= graph.pair("norm_pre", f"{top}pre_layrnorm") | graph.pair("norm", f"{top}post_layernorm")
    for i in range(DEPTH):
        ours, theirs = f"blocks.{i}", f"{top}encoder.layers.{i}"
        biases = {"qkv": "self_attn.{}_proj", "proj": "self_attn.out_proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
        state |= _block(graph, ours, theirs, f"encoder/layers.{i}", biases, ("q", "k", "v"))
        state |= graph.pair(f"{ours}.norm1", f"{theirs}.layer_norm1") | graph.pair(
            f"{ours}.norm2", f"{theirs}.layer_norm2"
        )
    return state


def dinov2_s14(model: Path) -> dict[str, Tensor]:
    """The state of timm's `vit_small_patch14_dinov2` without a head, with the positions of its 518 px."""
    graph, top = Graph.read(model), "backbone."
    of_class, of_patches = graph.named["onnx::Concat_1957"], graph.named["onnx::Reshape_1962"]
    state = {
        "cls_token": tensor(graph.named[f"{top}embeddings.cls_token"]),
        "pos_embed": tensor(np.concatenate([of_class, of_patches], axis=1)),
    }
    state |= graph.pair("patch_embed.proj", f"{top}embeddings.patch_embeddings.projection")
    state |= graph.pair("norm", f"{top}layernorm")
    for i in range(DEPTH):
        ours, theirs = f"blocks.{i}", f"{top}encoder.layer.{i}"
        names = {"qkv": "attention.attention.{}", "proj": "attention.output.dense", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
        state |= _block(graph, ours, theirs, f"encoder/layer.{i}", names, ("query", "key", "value"))
        for k in "12":
            state |= graph.pair(f"{ours}.norm{k}", f"{theirs}.norm{k}")
            state[f"{ours}.ls{k}.gamma"] = tensor(graph.named[f"{theirs}.layer_scale{k}.lambda1"])
    return state


def _block(
    graph: Graph, ours: str, theirs: str, node: str, names: Mapping[str, str], qkv: tuple[str, str, str]
) -> dict[str, Tensor]:
    """Attention and MLP of one block.

    Args:
        ours, theirs: the block's name in timm and in the graph's initialisers; node: in the names of its nodes.
        names: of the projections, by timm's; "{}" stands for each of `qkv`.
    """
    parts = {"attn.qkv": [names["qkv"].format(part) for part in qkv], "attn.proj": [names["proj"]],
             "mlp.fc1": [names["fc1"]], "mlp.fc2": [names["fc2"]]}  # fmt: skip
    state: dict[str, Tensor] = {}
    for name, joined in parts.items():
        matrices = [graph.matrix(f"{node}/{part.replace('.', '/')}") for part in joined]
        biases = [graph.named[f"{theirs}.{part}.bias"] for part in joined]
        state[f"{ours}.{name}.weight"] = tensor(np.concatenate(matrices))
        state[f"{ours}.{name}.bias"] = tensor(np.concatenate(biases))
    return state
