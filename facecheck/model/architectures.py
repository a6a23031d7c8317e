"""The networks that a facecheck model can have, by name; all are (N, 3, S, S) float -> (N, 1) logits, positive = fake.

Tensor names are those of the library that defines a network (torchvision, timm), so that its pretrained weights fit.
Import only where a network is built: this loads torch and torchvision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import ConvNeXt, SwinTransformer, VisionTransformer, convnext_large, get_model, swin_b

from facecheck.errors import ModelError
from facecheck.model.config import IMAGENET_MEAN, IMAGENET_STD, Channels


class AnySizeViT(VisionTransformer):  # type: ignore[misc]
    """torchvision's Vision Transformer for inputs of any size, with the same tensors.

    The position embeddings are resized to the grid of patches (Dosovitskiy et al. 2021, section 3.2); at the size given
    as `image_size` the network is torchvision's, bit for bit.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), both sides at least one patch -> (N, num_classes)."""
        patches = self.conv_proj(x)
        positions = self._positions(patches.shape[2], patches.shape[3])
        tokens = torch.cat(
            [self.class_token.expand(patches.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], dim=1
        )
        encoded = self.encoder.ln(self.encoder.layers(self.encoder.dropout(tokens + positions)))
        logits: Tensor = self.heads(encoded[:, 0])
        return logits

    def _positions(self, height: int, width: int) -> Tensor:
        """(1, 1 + height * width, C): the class token's position, then those of the patches, row by row."""
        own: Tensor = self.encoder.pos_embedding
        side = self.image_size // self.patch_size
        if (height, width) == (side, side):
            return own
        grid = own[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
        resized = nn.functional.interpolate(grid, (height, width), mode="bicubic", antialias=True)
        return torch.cat([own[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


class ConvNextSwin(nn.Module):
    """Late fusion: the pooled features of a ConvNeXt and of a Swin transformer side by side, and one linear layer.

    Takes torchvision networks of any width and removes their own classifiers; a backbone file names its tensors
    `convnext.*` and `swin.*`.
    """

    def __init__(self, convnext: ConvNeXt, swin: SwinTransformer) -> None:
        super().__init__()
        width = convnext.classifier[-1].in_features + swin.head.in_features
        convnext.classifier[-1] = nn.Identity()
        swin.head = nn.Identity()
        self.convnext, self.swin = convnext, swin
        self.fc = nn.Linear(width, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 1) logits."""
        logits: Tensor = self.fc(torch.cat([self.convnext(faces), self.swin(faces)], dim=1))
        return logits


@dataclass(frozen=True)
class Architecture:
    """How to build a network, and what its published weights expect.

    Attributes:
        build: makes the network with random weights; works under `torch.device("meta")`.
        head: the top-level module that turns features into the logit.
        map: the module whose output, (N, C, H, W), Grad-CAM looks at; empty: the last one with weights before the head.
        input_size: side of the square input that the published weights were trained at, pixels; others work too.
        mean, std: per RGB channel, for pixels in [0, 1].
    """

    build: Callable[[], nn.Module]
    head: str = "classifier"
    map: str = ""
    input_size: int = 224
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD


def _torchvision(name: str) -> nn.Module:
    network: nn.Module = get_model(name, weights=None, num_classes=1)
    return network


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ModelError(f"architecture {name!r} needs timm: pip install 'facecheck[training]'") from error
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=1)
    return network


def _vit_b_16() -> nn.Module:
    return AnySizeViT(
        image_size=224, patch_size=16, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072, num_classes=1
    )


def _convnext_swin() -> nn.Module:
    return ConvNextSwin(convnext_large(weights=None), swin_b(weights=None))


ARCHITECTURES: dict[str, Architecture] = {
    "resnet50": Architecture(partial(_torchvision, "resnet50"), head="fc"),
    "mobilenet_v2": Architecture(partial(_torchvision, "mobilenet_v2")),
    "densenet169": Architecture(partial(_torchvision, "densenet169")),
    "efficientnet_b4": Architecture(partial(_torchvision, "efficientnet_b4"), input_size=380),
    "efficientnet_b6": Architecture(partial(_torchvision, "efficientnet_b6"), input_size=528),
    "xception": Architecture(
        partial(_timm, "legacy_xception"), head="fc", input_size=299, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    ),
    "vit_b_16": Architecture(_vit_b_16, head="heads"),
    "convnext_large": Architecture(partial(_torchvision, "convnext_large")),
    "swin_b": Architecture(partial(_torchvision, "swin_b"), head="head", map="permute"),
    "convnext_swin": Architecture(_convnext_swin, head="fc"),
}


def architecture(name: str) -> Architecture:
    """The registered architecture of this name.

    Raises:
        ModelError: the name is not in `ARCHITECTURES`.
    """
    if name not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {name!r}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]


def build(name: str) -> nn.Module:
    """A network of a registered architecture, random weights.

    Raises:
        ModelError: the name is not in `ARCHITECTURES`, or the library that defines the network is not installed.
    """
    return architecture(name).build()


def stages(network: nn.Module, head: str) -> tuple[str, ...]:
    """Names of the modules with weights, from the input up to `head`; freezing the first ones keeps low-level features.

    torchvision's `features` counts part by part. Parameters that belong to no module (a ViT's class token) are in none.
    """
    names: list[str] = []
    for name, child in network.named_children():
        parts = [f"{name}.{part}" for part, _ in child.named_children()] if name == "features" else [name]
        names += [part for part in parts if next(network.get_submodule(part).parameters(), None) is not None]
    return tuple(name for name in names if name != head)
