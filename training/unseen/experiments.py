"""The experiments of `explore`: what is asked of frozen backbones, one question a row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from training.backbones.extractor import CLASS, MEAN, STD
from training.pseudo import SELF_BLEND
from training.unseen.probe import STRENGTH

PAIRS = "pairs"
"""Copies of `training.pairs`, as a kind of pseudo-fakes."""


@dataclass(frozen=True)
class Part:
    """Features of one backbone; all layers, or all statistics, without any."""

    backbone: str
    layers: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """A linear head on frozen features, fitted on the learning splits.

    Attributes:
        parts: whose features are joined.
        arrived: learn from the faces as they arrive through the tier. deliveries: and in so many random deliveries.
        pseudo: learn fakes that were made of the photographs too, `SELF_BLEND` or `PAIRS`, in the delivery of their
            originals; they weigh `pseudo_share` of what the fakes weigh.
        without, files, photograph_sources, fake_sources: see `training.unseen.learned.kept`.
        power: a source of n files weighs n ** power. modern: factor for the sources of modern generators.
        strength: inverse of the L2 penalty.
    """

    name: str
    parts: tuple[Part, ...]
    arrived: bool = True
    deliveries: int = 0
    pseudo: str = ""
    pseudo_share: float = 0.25
    without: tuple[str, ...] = ()
    files: float = 1.0
    photograph_sources: float = 1.0
    fake_sources: float = 1.0
    power: float = 0.5
    modern: float = 1.0
    strength: float = STRENGTH


_BLOCKS = tuple(f"blocks.{i}" for i in range(11))
_TRANSFORMER = {
    "every third block": ("blocks.2", "blocks.5", "blocks.8", "norm"),
    "blocks 0 to 3": _BLOCKS[:4],
    "blocks 4 to 7": _BLOCKS[4:8],
    "blocks 8 to 11": (*_BLOCKS[8:], "norm"),
    "last block": ("norm",),
}
LAYERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "resnet50": {
        "layers 2, 3": ("layer2", "layer3"),
        "layers 1, 2": ("layer1", "layer2"),
        "layers 3, 4": ("layer3", "layer4"),
        "layers 2, 3, 4": ("layer2", "layer3", "layer4"),
        "layer 3": ("layer3",),
        "layer 4": ("layer4",),
        "all layers": (),
    },
    "dinov2_s14": _TRANSFORMER,
    "clip_b16": _TRANSFORMER,
    "inception_resnet": {"all layers": ()},
}
"""Backbone -> layers by name, the usual ones first."""
STATISTICS = {"resnet50": (MEAN, STD), "dinov2_s14": (CLASS, MEAN, STD), "clip_b16": (CLASS, MEAN, STD)}


def usual(backbone: str) -> Experiment:
    """The one that all others of a backbone are compared with."""
    name, layers = next(iter(LAYERS[backbone].items()))
    return Experiment(f"{backbone}, {name}", (Part(backbone, layers),))


def defaults(backbones: Sequence[str], pairs: bool = False) -> dict[str, Experiment]:
    """By name: layers and statistics of each backbone, what it learns from for the first one, and all of them joined.

    Args:
        pairs: there are copies of photographs.
    """
    found = [one for backbone in backbones for one in _features(backbone)]
    found += _joined(backbones)
    found += _lessons(usual(backbones[0]), pairs)
    return {one.name: one for one in found}


def _features(backbone: str) -> Iterator[Experiment]:
    first = usual(backbone)
    for name, layers in LAYERS[backbone].items():
        yield Experiment(f"{backbone}, {name}", (Part(backbone, layers),))
    for statistic in STATISTICS.get(backbone, ()):
        part = replace(first.parts[0], statistics=(statistic,))
        yield Experiment(f"{first.name}: {statistic} only", (part,))


def _joined(backbones: Sequence[str]) -> Iterator[Experiment]:
    parts = [usual(backbone).parts[0] for backbone in backbones]
    for count in range(2, len(parts) + 1):
        yield Experiment(" + ".join(part.backbone for part in parts[:count]), tuple(parts[:count]))


def _lessons(base: Experiment, pairs: bool) -> Iterator[Experiment]:
    """What the head of one backbone learns from, and how."""
    changes: dict[str, Experiment] = {
        "sources weigh the same": replace(base, power=0.0),
        "files weigh the same": replace(base, power=1.0),
        "modern generators x 3": replace(base, modern=3.0),
        "modern generators x 10": replace(base, modern=10.0),
        "without modern generators": replace(base, without=("modern generators",)),
        "without older generators": replace(base, without=("older generators",)),
        "without official portraits": replace(base, without=("official portraits",)),
        "without studio portraits": replace(base, without=("studio portraits",)),
        "without FFHQ": replace(base, without=("FFHQ",)),
        "half of the files": replace(base, files=0.5),
        "an eighth of the files": replace(base, files=0.125),
        "half of the sources of photographs": replace(base, photograph_sources=0.5),
        "half of the sources of fakes": replace(base, fake_sources=0.5),
        "weaker penalty": replace(base, strength=10 * STRENGTH),
        "stronger penalty": replace(base, strength=STRENGTH / 10),
        "one random delivery instead": replace(base, arrived=False, deliveries=1),
        "and one random delivery": replace(base, deliveries=1),
        "and two random deliveries": replace(base, deliveries=2),
        "and one, with self-blended copies": replace(base, deliveries=1, pseudo=SELF_BLEND),
    }
    if pairs:
        changes["and one, with copies through an autoencoder"] = replace(base, deliveries=1, pseudo=PAIRS)
    for name, change in changes.items():
        yield replace(change, name=f"{base.name}: {name}")
