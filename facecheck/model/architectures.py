"""The networks that a facecheck model can have, by name; all are (N, 3, S, S) float -> (N, 1) logits, positive = fake.

Tensor names are those of the library that defines a network (torchvision, timm), so that its pretrained weights fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from facecheck.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

Channels = tuple[float, float, float]
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


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

    build: "Callable[[], nn.Module]"
    head: str = "classifier"
    map: str = ""
    input_size: int = 224
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD


def _torchvision(name: str) -> "nn.Module":
    from torchvision.models import get_model

    network: nn.Module = get_model(name, weights=None, num_classes=1)
    return network


def _timm(name: str) -> "nn.Module":
    try:
        import timm
    except ImportError as error:
        raise ModelError(f"architecture {name!r} needs timm: pip install 'facecheck[training]'") from error
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=1)
    return network


def _vit_b_16() -> "nn.Module":
    from facecheck.model.networks import AnySizeViT

    return AnySizeViT(
        image_size=224, patch_size=16, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072, num_classes=1
    )


def _convnext_swin() -> "nn.Module":
    from torchvision.models import convnext_large, swin_b

    from facecheck.model.networks import ConvNextSwin

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


def build(name: str) -> "nn.Module":
    """A network of a registered architecture, random weights.

    Raises:
        ModelError: the name is not in `ARCHITECTURES`, or the library that defines the network is not installed.
    """
    return architecture(name).build()


def stages(network: "nn.Module", head: str) -> tuple[str, ...]:
    """Names of the modules with weights, from the input up to `head`; freezing the first ones keeps low-level features.

    torchvision's `features` counts part by part. Parameters that belong to no module (a ViT's class token) are in none.
    """
    names: list[str] = []
    for name, child in network.named_children():
        parts = [f"{name}.{part}" for part, _ in child.named_children()] if name == "features" else [name]
        names += [part for part in parts if next(network.get_submodule(part).parameters(), None) is not None]
    return tuple(name for name in names if name != head)
