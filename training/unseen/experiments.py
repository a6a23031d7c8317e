"""The experiments of `explore`: what is asked of frozen backbones, one question a row, of which faces."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.data import FaceFile
from training.evaluation.metrics import Bools
from training.pseudo import SELF_BLEND
from training.unseen.extractor import CLASS, MEAN, STD
from training.unseen.features import STRENGTH

LEARNING = ("train", "val")
OLDER = ("StyleGAN", "Stable Diffusion", "SDXL", "Realistic Vision", "RealVisXL", "CosmicMan")
"""How the names of generators begin that are GANs, or of the Stable Diffusion family up to SDXL."""
OFFICIAL = frozenset({"uk-parliament", "thai-parliament", "congress", "guatemala", "voteview-manual"})
STUDIO = frozenset({"london", "canada", "caltech", "angular-bios", "ember-team", "congress"})
FLICKR = frozenset({"ffhq1024", "ffhq256"})


def modern(row: FaceFile) -> bool:
    """A fake of a generator that is not among `OLDER`."""
    return row.label == "fake" and not row.generator.startswith(OLDER)


def older(row: FaceFile) -> bool:
    """A fake of a generator among `OLDER`."""
    return row.label == "fake" and not modern(row)


def _photographs(sources: frozenset[str]) -> Callable[[FaceFile], bool]:
    return lambda row: row.label == "real" and row.source in sources


SETS: Mapping[str, Callable[[FaceFile], bool]] = {
    "modern generators": modern,
    "older generators": older,
    "official portraits": _photographs(OFFICIAL),
    "studio portraits": _photographs(STUDIO),
    "FFHQ": _photographs(FLICKR),
}
"""What can be left out, by name."""


def luck(name: str) -> float:
    """A number in [0, 1) that is always the same for a name, for draws that nest."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def learning(rows: Sequence[FaceFile]) -> list[FaceFile]:
    """Those of the splits that may be learned from."""
    return [row for row in rows if row.split in LEARNING]


def drawn(rows: Sequence[FaceFile], faces: int) -> list[FaceFile]:
    """At most `faces` of the learning splits, a quarter as many of test and all of the world, in their order; 0: all.

    Every source gives as many as another, small ones all that they have; fakes of `modern` generators all stay.
    """
    if not faces:
        return list(rows)
    test = [row for row in rows if row.split == "test"]
    left_out = {
        row.path for part, most in ((learning(rows), faces), (test, faces // 4)) for row in _surplus(part, most)
    }
    return [row for row in rows if row.path not in left_out]


def _surplus(rows: Sequence[FaceFile], faces: int) -> list[FaceFile]:
    """What must go so that `faces` stay."""
    sources: defaultdict[tuple[str, str], list[FaceFile]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: luck(row.path.name)):
        if not modern(row):
            sources[row.label, row.source].append(row)
    room = faces - sum(map(modern, rows))
    fitting = (cap for cap in range(len(rows), 0, -1) if sum(min(len(s), cap) for s in sources.values()) <= room)
    cap = next(fitting, 0)
    return [row for members in sources.values() for row in members[cap:]]


def kept(
    rows: Sequence[FaceFile], without: Sequence[str], files: float, photograph_sources: float, fake_sources: float
) -> Bools:
    """(N,) which rows stay.

    Args:
        without: names of `SETS`. files: share of the groups of files.
        photograph_sources, fake_sources: share of the sources of each class; a smaller share lies inside a larger one.
    """
    shares = {"real": photograph_sources, "fake": fake_sources}
    chosen: set[tuple[str, str]] = set()
    for label, share in shares.items():
        sources = sorted({row.source for row in rows if row.label == label}, key=luck)
        chosen |= {(label, source) for source in sources[: max(round(len(sources) * share), 1)]}
    return np.array([
        (row.label, row.source) in chosen and luck(row.group) < files and not any(SETS[name](row) for name in without)
        for row in rows
    ])  # fmt: skip


PAIRS = "pairs"
"""Copies of `training pairs`, as a kind of pseudo-fakes."""


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
        without, files, photograph_sources, fake_sources: see `training.unseen.experiments.kept`.
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
