"""Frozen backbones: what a network that never saw a fake makes of a face, pooled layer by layer to one vector.

A linear classifier on it takes seconds to fit where fine-tuning takes an hour, so that questions with many answers
(which layer carries over, which generator is hard when unseen) can be asked on two processor cores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from facecheck.files import sha256_of
from facecheck.model.architectures import build
from facecheck.model.config import IMAGENET_MEAN, IMAGENET_STD, Channels
from training.fitting.trainer import channels, load_backbone, mixed_precision

Features = npt.NDArray[np.float16]
CLIP_MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Channels = (0.26862954, 0.26130258, 0.27577711)
CLASS, MEAN, STD = "class", "mean", "std"
STATISTICS = (CLASS, MEAN, STD)
HALF_MAX = 65504.0


@dataclass(frozen=True)
class Block:
    """Columns `start` to `stop` of the features: one statistic of one layer."""

    layer: str
    statistic: str
    start: int
    stop: int


class Extractor:
    """A frozen backbone and the layers whose outputs are pooled.

    Mean and standard deviation over the places of each channel (the standard deviation is what texture leaves, as in
    the style statistics of Gatys et al. 2016); of a transformer over its patch tokens, and the class token beside them.

    Args:
        kind: of the backbone, see `KINDS`.
        layers: names of the modules; their outputs are (N, C, H, W) maps or (N, 1 + P, C) tokens, class token first.
        input_size: side of the faces, pixels. mean, std: of the input, for pixels in [0, 1].
        digest: sha256 of the weights.

    Attributes:
        blocks: what stands in which columns.
    """

    def __init__(
        self, kind: str, network: nn.Module, layers: Sequence[str], digest: str, input_size: int = 224,
        mean: Channels = IMAGENET_MEAN, std: Channels = IMAGENET_STD,
    ) -> None:  # fmt: skip
        self.kind, self.network, self.layers, self.digest = kind, network.eval(), tuple(layers), digest
        self.input_size = input_size
        self._mean, self._std = channels(mean), channels(std)
        blank = torch.zeros(1, 3, input_size, input_size, dtype=torch.uint8)
        self.blocks = _blocks(self._pooled(blank))

    @property
    def width(self) -> int:
        """D, the number of columns."""
        return self.blocks[-1].stop

    def __call__(self, faces: Tensor) -> Features:
        """(N, 3, S, S) uint8 faces -> (N, D) float16 features."""
        pooled = torch.cat(list(self._pooled(faces).values()), dim=1)
        return np.asarray(pooled.clamp(-HALF_MAX, HALF_MAX).half().numpy())

    @torch.inference_mode()
    def _pooled(self, faces: Tensor) -> dict[tuple[str, str], Tensor]:
        """(layer, statistic) -> (N, C)."""
        pooled: dict[tuple[str, str], Tensor] = {}

        def keep(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
                pooled.update({(layer, name): value for name, value in pool(output.float()).items()})

            return hook

        hooks = [self.network.get_submodule(layer).register_forward_hook(keep(layer)) for layer in self.layers]
        try:
            with mixed_precision(torch.device("cpu")):
                self.network(((faces.float() - self._mean) / self._std).contiguous(memory_format=torch.channels_last))
        finally:
            for each in hooks:
                each.remove()
        return pooled


def pool(output: Tensor) -> dict[str, Tensor]:
    """The statistics of a layer's output, (N, C) each: of (N, C, H, W) maps, of (N, 1 + P, C) tokens, or of (N, C)."""
    if output.dim() == 2:
        return {MEAN: output}
    if output.dim() == 4:
        places = output.flatten(2)
        return {MEAN: places.mean(dim=2), STD: places.std(dim=2)}
    patches = output[:, 1:]
    return {CLASS: output[:, 0], MEAN: patches.mean(dim=1), STD: patches.std(dim=1)}


def columns(
    blocks: Sequence[Block], layers: Sequence[str] = (), statistics: Sequence[str] = ()
) -> npt.NDArray[np.intp]:
    """The columns of these layers and statistics, in the order of the features; of all without any.

    Raises:
        ValueError: there is no such layer or statistic.
    """
    for asked, known in ((layers, {b.layer for b in blocks}), (statistics, {b.statistic for b in blocks})):
        if unknown := set(asked) - known:
            raise ValueError(f"no features named {sorted(unknown)}; there are {sorted(known)}")
    chosen = [
        np.arange(block.start, block.stop)
        for block in blocks
        if block.layer in (layers or (block.layer,)) and block.statistic in (statistics or (block.statistic,))
    ]
    return np.concatenate(chosen)


def _blocks(pooled: Mapping[tuple[str, str], Tensor]) -> tuple[Block, ...]:
    ends = np.cumsum([value.shape[1] for value in pooled.values()]).tolist()
    starts = [0, *ends[:-1]]
    return tuple(Block(*key, start, end) for key, start, end in zip(pooled, starts, ends, strict=True))


def _resnet50(path: Path) -> Extractor:
    network = build("resnet50")
    if missing := set(load_backbone(network, path)) - {"fc.weight", "fc.bias"}:
        raise ValueError(f"{path} is no complete ResNet50: {len(missing)} tensors are missing, such as {min(missing)}")
    network.fc = nn.Identity()
    return Extractor("resnet50", network, [f"layer{i}" for i in (1, 2, 3, 4)], sha256_of(path))


def _inception_resnet(path: Path) -> Extractor:
    """The middle of InceptionResnetV1, which was trained to tell people apart (VGGFace2)."""
    from facenet_pytorch import InceptionResnetV1

    network = InceptionResnetV1(classify=False)
    network.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor
                             for name, tensor in load_file(path).items()})  # fmt: skip
    layers, half = ("conv2d_2b", "conv2d_4b", "repeat_1", "mixed_6a", "repeat_2"), (0.5, 0.5, 0.5)
    return Extractor("inception_resnet", network, layers, sha256_of(path), mean=half, std=half)


# The last block is read after the norm that follows it, where the published classifiers take their class token.
_VIT_LAYERS = (*(f"blocks.{i}" for i in range(11)), "norm")


def _dinov2_s14(path: Path) -> Extractor:
    """At 224 px: the positions of its 518 px are resampled."""
    import timm

    network: Any = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=224)
    network.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(load_file(path), network))
    return Extractor("dinov2_s14", network, _VIT_LAYERS, sha256_of(path))


def _clip_b16(path: Path) -> Extractor:
    import timm

    network = timm.create_model("vit_base_patch16_clip_quickgelu_224", num_classes=512)
    network.load_state_dict(load_file(path))
    return Extractor("clip_b16", network, _VIT_LAYERS, sha256_of(path), mean=CLIP_MEAN, std=CLIP_STD)


KINDS: Mapping[str, Callable[[Path], Extractor]] = {
    "resnet50": _resnet50,
    "dinov2_s14": _dinov2_s14,
    "clip_b16": _clip_b16,
    "inception_resnet": _inception_resnet,
}
"""Kind of a backbone -> what reads its safetensors."""
