"""Put what a network learned to better use, in minutes: statistics of its batch norms, and its last layer, made anew.

Training sees augmented faces and ends in a moving average; its batch norms know the statistics of neither the faces
that arrive nor the average (the remedy is the precise BN of Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm").
And its features carry over to unseen sources better than its own last layer uses them (Kirichenko et al. 2022, "Last
layer re-training is sufficient for robustness to spurious correlations"). Weights between the backbone's and the
fine-tuned ones can carry over better than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from facecheck.model.architectures import architecture, build
from facecheck.model.checkpoint import Model, load_model, save_model
from facecheck.model.config import Decision, Limits, ModelConfig
from training.augment import TIERS
from training.data import FaceFile, arrived, sampling_weights
from training.fitting.train import save_as_decided
from training.fitting.trainer import channels
from training.unseen.experiments import LEARNING, learning
from training.unseen.extractor import Extractor
from training.unseen.features import STRENGTH, Examples, Head, View, extract

NORM_FACES = 1536
"""Of which the statistics of the batch norms are taken."""
BATCH = 48


def refit(
    model: Model, rows: Sequence[FaceFile], folder: Path, tiers: Sequence[str] = tuple(TIERS),
    strength: float = STRENGTH, version: str = "", norm_faces: int = NORM_FACES, backbone: Path | None = None,
    backbone_share: float = 0.3,
) -> Path:  # fmt: skip
    """Save the model with other statistics and another last layer into `folder`, without the decision of the old one.

    Killed, it goes on from the features that `folder` holds.

    Args:
        rows: of the manifest; only those of the splits train and val are read.
        tiers: every face is learned as it arrives through each. strength: inverse of the L2 penalty.
        norm_faces: so many are drawn for the batch norms; 0 leaves them as they are.
        backbone: what the run started from; `backbone_share` of every weight becomes its own first.

    Returns:
        The path of the weights.

    Raises:
        ValueError: the network does not end in a linear layer; a class is absent.
    """
    learned = learning(rows)
    if {row.label for row in learned} != {"real", "fake"}:
        raise ValueError(f"both classes are needed in the splits {' and '.join(LEARNING)}, of {len(learned)} faces")
    config = replace(model.config, decision=Decision(), limits=Limits(), version=version or model.config.version)
    network = copy.deepcopy(model.network)
    if backbone:
        _interpolate(network, backbone, backbone_share)
    if norm_faces:
        update_bn(_drawn(learned, config, tiers, norm_faces), network)
    model = load_model(save_model(network.eval(), config, folder))
    extractor = features_of(model)
    views = [extract(extractor, learned, View(tier=tier), folder / "features", config.crop_margin) for tier in tiers]
    head = Examples.of(learned, sampling_weights(learned), views).head(strength)
    _replace(_last_layer(model.network, config.architecture)[1], head)
    return save_model(model.network, config, folder)


def average(models: Sequence[Model], folder: Path) -> Path:
    """Average the weights of runs that started from one another, and save the result under the last one's config.

    Uniform model soup (Wortsman et al. 2022): better than each run where they lie in one basin of the loss.
    """
    states = [model.network.state_dict() for model in models]
    mixed = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }
    network = build(models[-1].config.architecture)
    network.load_state_dict(mixed)
    return save_as_decided(network, models[-1].config, folder)


@torch.no_grad()
def _interpolate(network: nn.Module, backbone: Path, share: float) -> None:
    tensors = load_file(backbone)
    for name, own in network.state_dict().items():
        other = tensors.get(name)
        if other is not None and other.shape == own.shape and own.is_floating_point():
            own.lerp_(other.to(own.dtype), share)


def features_of(model: Model) -> Extractor:
    """What the last layer sees, (N, D)."""
    network, config = copy.deepcopy(model.network), model.config
    name, _ = _last_layer(network, config.architecture)
    network.set_submodule(name, nn.Identity())
    return Extractor(config.architecture, network, [name], config.sha256, config.input_size, config.mean, config.std)


def _drawn(rows: list[FaceFile], config: ModelConfig, tiers: Sequence[str], faces: int) -> Iterator[Tensor]:
    """Normalised batches, (N, 3, S, S): sources as in training, the tiers in turn."""
    mean, std = channels(config.mean), channels(config.std)
    chances = sampling_weights(rows)
    places = np.random.default_rng(0).choice(len(rows), faces, p=chances / chances.sum())
    for start in range(0, faces, BATCH):
        shown = [
            arrived(rows[place], tiers[(start + turn) % len(tiers)], config.input_size, config.crop_margin)
            for turn, place in enumerate(places[start : start + BATCH])
        ]
        pixels = (torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() - mean) / std
        yield pixels.contiguous(memory_format=torch.channels_last)


def _last_layer(network: nn.Module, name: str) -> tuple[str, nn.Linear]:
    """The linear layer that gives the logit, and its name."""
    head = architecture(name).head
    for inner, module in reversed(list(network.get_submodule(head).named_modules())):
        if isinstance(module, nn.Linear) and module.out_features == 1:
            return f"{head}.{inner}".rstrip("."), module
    raise ValueError(f"architecture {name!r} does not end in a linear layer")


@torch.no_grad()
def _replace(layer: nn.Linear, head: Head) -> None:
    """Weights for features as they are, where the head's are for standardised ones."""
    weight = head.coefficients / head.scale
    layer.weight.copy_(torch.from_numpy(weight)[None])
    layer.bias.fill_(head.intercept - float(head.mean @ weight))
