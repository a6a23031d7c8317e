"""ResNet50 as Keras publishes it (MSRA's caffe weights), in the TensorFlow.js format, for torchvision's network."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facecheck.model.architectures import IMAGENET_MEAN, IMAGENET_STD

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
