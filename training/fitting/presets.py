"""Recipes by name: for each earlier system that facecheck stands beside, its network and how to fine-tune it here.

A preset changes only what its network needs; everything else is `TrainConfig`'s default, and every value can be
overridden. Only `resnet50` was tuned on facecheck's data: the others start from the usual rates of their papers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from facecheck.model.architectures import architecture, stages
from facecheck.model.config import ModelConfig
from training.fitting.trainer import TrainConfig


@dataclass(frozen=True)
class Preset:
    """A network and the settings that fine-tune it.

    Attributes:
        stands_for: the earlier project or published detector of this kind.
        backbone: a file of pretrained weights that fits, where one is known; the path is passed to `train`.
        frozen_stages: how many stages, counted from the input, keep the backbone's weights; None = all but the head.
        frozen_norms: batch norms keep the backbone's statistics in every stage.
        changes: fields of `TrainConfig` that differ from its defaults.
    """

    name: str
    stands_for: str
    architecture: str
    backbone: str = ""
    frozen_stages: int | None = 3
    frozen_norms: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    def frozen(self) -> tuple[str, ...]:
        """Modules that keep the backbone's weights and batch-norm statistics, as `TrainConfig.frozen` names them."""
        chosen = architecture(self.architecture)
        with torch.device("meta"):
            network = chosen.build()
        names = stages(network, chosen.head)[: self.frozen_stages]
        if not self.frozen_norms:
            return names
        norms = (name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d))
        return names + tuple(name for name in norms if not name.startswith(tuple(f"{stage}." for stage in names)))

    def train_config(self, pretrained: bool = True, **overrides: Any) -> TrainConfig:
        """The run of this preset.

        Args:
            pretrained: a backbone is loaded; without one nothing is frozen.
            overrides: fields of `TrainConfig`; they win over the preset.

        Raises:
            ValueError: a frozen feature extractor without a backbone.
        """
        if not pretrained and self.frozen_stages is None:
            raise ValueError(f"preset {self.name!r} trains nothing but the head: it needs a backbone")
        frozen = self.frozen() if pretrained else ()
        return replace(TrainConfig(), **{"frozen": frozen, **self.changes, **overrides})

    def model_config(self, name: str, version: str, config: TrainConfig, **fields: Any) -> ModelConfig:
        """What stands beside the weights that `config` trains: the last input size and the network's normalisation."""
        chosen = architecture(self.architecture)
        return ModelConfig(
            name, version, self.architecture, config.sizes()[-1], mean=chosen.mean, std=chosen.std, **fields
        )


# Prepared faces are 256 px at most: the larger inputs that EfficientNet and Xception were published with only enlarge.
_ONE_SIZE = ((1.0, 224),)
_TRANSFORMER = {"lr": 5e-5, "fresh_lr": 5e-4, "batch": 32, "warmup": 200, "phases": _ONE_SIZE}

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("resnet50", "facecheck's default: the ResNet50 projects, fine-tuned", "resnet50", backbone="resnet50"),
        Preset("resnet50-frozen", "the ResNet50 projects, as a frozen feature extractor", "resnet50",
               backbone="resnet50", frozen_stages=None, changes={"lr": 1e-3, "weight_decay": 0.0, "phases": _ONE_SIZE}),
        # The statistics of this backbone were re-estimated after de-quantisation: batch norms stay as they came.
        Preset("mobilenet_v2", "the MobileNetV2 face project (Realistic Vision against Kaggle faces)", "mobilenet_v2",
               backbone="mobilenet_v2_imagenet", frozen_stages=4, frozen_norms=True),
        Preset("xception", "the Xception detector of FaceForensics++ (Rössler et al. 2019)", "xception",
               frozen_stages=4),
        Preset("efficientnet_b4", "the EfficientNet-B4 ensembles of Bonettini et al. 2020", "efficientnet_b4",
               changes={"batch": 32}),
        Preset("efficientnet_b6", "the EfficientNet-B6 project on CIFAKE", "efficientnet_b6",
               changes={"batch": 16, "lr": 2e-4}),
        Preset("densenet169", "the DenseNet projects", "densenet169",
               backbone="densenet169_imagenet_features", frozen_stages=4),
        # Chen et al. 2021 (MoCo v3): a frozen patch projection makes training a ViT stable.
        Preset("vit_b_16", "Vision Transformer fine-tunes", "vit_b_16", frozen_stages=1, changes=_TRANSFORMER),
        Preset("convnext_swin", "the ConvNeXt-Large + Swin fusion of a Kaggle competition (25th place)",
               "convnext_swin", frozen_stages=0, changes={**_TRANSFORMER, "batch": 16}),
    )
}  # fmt: skip
"""Name -> preset."""


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
