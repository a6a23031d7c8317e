"""What helps against what training never saw: augmentations left out, pseudo-fakes put in, data taken away.

Each question is answered by a protocol of `training.unseen.logo`: a linear probe on frozen features, judged in domain
and on every generator left out in turn; or one fine-tuning run for each variant, with some generators left out of it
together, which answers both at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.augment import Delivery
from training.backbones.extractor import Features
from training.backbones.features import View
from training.data import FaceFile
from training.evaluation.metrics import Floats, roc_auc, tpr_at
from training.markdown import head, line
from training.pseudo import AUTOENCODER, SELF_BLEND
from training.unseen.logo import GENERATOR, Mask, Score, leave_one_out
from training.unseen.probe import LinearProbe

GROUPS: dict[str, tuple[str, ...]] = {
    "rescaling": ("rescale",),
    "lossy saves": ("recode",),
    "blur, noise, sharpening, beauty filter": ("blur", "noise", "sharpen", "beauty"),
    "colour": ("colour", "grey"),
    "cut, turn, zoom, screenshot": ("cut", "turn", "zoom", "screenshot"),
    "erasing": ("erase",),
}
SHUFFLED = 0.15
Draw = Callable[[View], Features]
"""A view -> (N, D) features of all rows in it."""


@dataclass(frozen=True)
class Finding:
    """One variant of the training set.

    Attributes:
        in_domain: AUC on the test split when every generator was seen.
        unseen, tpr: mean over the generators left out of the AUC and of the TPR at 1 % FPR.
    """

    name: str
    in_domain: float
    unseen: float
    tpr: float


def finding(name: str, rows: Sequence[FaceFile], score: Score) -> Finding:
    """Judge a way of training in domain and on unseen generators."""
    train, test = (np.array([row.split == split for row in rows]) for split in ("train", "test"))
    targets = np.array([row.target for row in rows])
    in_domain = roc_auc(targets[test], score(train, test))
    held = leave_one_out(rows, score, GENERATOR)
    return Finding(name, in_domain, *(float(np.mean([getattr(h, name) for h in held])) for name in ("auc", "rate")))


@dataclass(frozen=True)
class Variant:
    """One way of training: a delivery, and the kind of pseudo-fakes, or none."""

    delivery: Delivery
    pseudo: str = ""


def variants(autoencoder: bool = False) -> dict[str, Variant]:
    """The delivery as it is, without each of its groups, with patch shuffling, and with pseudo-fakes."""
    everything = tuple(field for fields in GROUPS.values() for field in fields)
    deliveries = {"everything": Delivery(), "nothing": _without(everything)}
    deliveries |= {f"without {name}": _without(fields) for name, fields in GROUPS.items()}
    deliveries["with patch shuffling"] = replace(Delivery(), shuffle=SHUFFLED)
    kinds = (SELF_BLEND, AUTOENCODER) if autoencoder else (SELF_BLEND,)
    pseudo = {f"with {kind} pseudo-fakes": Variant(Delivery(), kind) for kind in kinds}
    return {name: Variant(delivery) for name, delivery in deliveries.items()} | pseudo


def augmentations(
    rows: Sequence[FaceFile], draw: Draw, tier: str, autoencoder: Path | None, names: Sequence[str] = ()
) -> Iterator[Finding]:
    """Every variant, or those of these names, by a linear probe on frozen features."""
    arrived = draw(View(tier=tier))
    for name, variant in chosen(variants(autoencoder is not None), names).items():
        weights = autoencoder if variant.pseudo == AUTOENCODER else None
        pseudo = draw(View(variant.delivery, pseudo=variant.pseudo, autoencoder=weights)) if variant.pseudo else None
        yield finding(name, rows, LinearProbe(rows, [draw(View(variant.delivery))], arrived, pseudo))


def fine_tuned(
    rows: Sequence[FaceFile], prepared: Callable[[Variant], Score], held: Sequence[str],
    autoencoder: bool = False, names: Sequence[str] = (),
) -> Iterator[Finding]:  # fmt: skip
    """Every variant, or those of these names, by one run each, trained without the generators `held`.

    Args:
        prepared: a variant -> what trains that way, in a folder of its own, and scores.
    """
    for name, variant in chosen(variants(autoencoder), names).items():
        yield left_out_together(name, rows, prepared(variant), held)


def left_out_together(name: str, rows: Sequence[FaceFile], score: Score, held: Sequence[str]) -> Finding:
    """Train once without the generators `held`, and judge in domain and on each of them."""
    generators, groups = np.array([row.generator for row in rows]), np.array([row.group for row in rows])
    unseen = np.isin(generators, held)
    if missing := set(held) - set(generators[unseen].tolist()):
        raise ValueError(f"no generator named {sorted(missing)}; there are {sorted(set(generators.tolist()) - {''})}")
    split, targets = np.array([row.split for row in rows]), np.array([row.target for row in rows])
    train, test = (split == "train") & ~np.isin(groups, groups[unseen]), (split == "test") | unseen
    scores = np.full(len(rows), np.nan)
    scores[test] = score(train, test)
    photographs = (split == "test") & (targets == 0)
    known = test & ~unseen
    each = [photographs | (generators == generator) for generator in held]
    return Finding(
        name,
        roc_auc(targets[known], scores[known]),
        float(np.mean([roc_auc(targets[mask], scores[mask]) for mask in each])),
        float(np.mean([tpr_at(targets[mask], scores[mask]) for mask in each])),
    )


def chosen(found: dict[str, Variant], names: Sequence[str]) -> dict[str, Variant]:
    """Those of these names; all without any."""
    if unknown := set(names) - set(found):
        raise ValueError(f"no variant named {sorted(unknown)}; there are {list(found)}")
    return {name: found[name] for name in names or found}


def learning_curve(
    rows: Sequence[FaceFile], score: Score, shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0), seed: int = 0
) -> Iterator[Finding]:
    """The same with fewer files of every source, then with fewer sources of photographs.

    Each smaller set lies inside the larger ones.
    """
    rng = np.random.default_rng(seed)
    luck = dict(zip(sorted({row.group for row in rows}), rng.random(len(rows)), strict=False))
    drawn = np.array([luck[row.group] for row in rows])
    for share in shares:
        yield finding(f"{share:.1%} of the files", rows, _limited(score, drawn <= share))
    sources = rng.permutation(sorted({row.source for row in rows if row.label == "real"})).tolist()
    for count in sorted({max(round(len(sources) * share), 1) for share in shares}):
        kept = np.array([row.label == "fake" or row.source in sources[:count] for row in rows])
        yield finding(f"{count} of {len(sources)} sources of photographs", rows, _limited(score, kept))


def _without(fields: Sequence[str]) -> Delivery:
    never: dict[str, Any] = dict.fromkeys(fields, 0.0)
    return replace(Delivery(), **never)


def _limited(score: Score, allowed: Mask) -> Score:
    def limited(train: Mask, test: Mask) -> Floats:
        return score(train & allowed, test)

    return limited


def markdown(findings: Iterable[Finding]) -> Iterator[str]:
    """The lines of a table, each as soon as its finding is there."""
    yield from head(["training", "AUC in domain", "mean AUC, unseen", "mean TPR@1% FPR, unseen"])
    for found in findings:
        yield line((found.name, f"{found.in_domain:.4f}", f"{found.unseen:.4f}", f"{found.tpr:.3f}"))
