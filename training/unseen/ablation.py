"""What helps against what training never saw: augmentations left out, pseudo-fakes put in, data taken away.

Each question is answered by the cheap protocol of `training.unseen.logo`: a linear probe on frozen features, judged in
domain and on every generator left out in turn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from training.augment import Delivery
from training.data import FaceFile
from training.evaluation.metrics import Floats
from training.pseudo import AUTOENCODER, SELF_BLEND
from training.unseen.features import Features, View
from training.unseen.logo import GENERATOR, LinearProbe, Mask, Score, leave_one_out

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
        unseen, caught: mean over the generators left out of the AUC and of the TPR at 1 % FPR.
    """

    name: str
    in_domain: float
    unseen: float
    caught: float


def finding(name: str, rows: Sequence[FaceFile], score: Score) -> Finding:
    """Judge a way of training in domain and on unseen generators."""
    train, test = (np.array([row.split == split for row in rows]) for split in ("train", "test"))
    targets = np.array([row.target for row in rows])
    in_domain = float(roc_auc_score(targets[test], score(train, test)))
    held = leave_one_out(rows, score, GENERATOR)
    return Finding(name, in_domain, *(float(np.mean([getattr(h, name) for h in held])) for name in ("auc", "rate")))


def augmentations(rows: Sequence[FaceFile], draw: Draw, tier: str, autoencoder: Path | None) -> Iterator[Finding]:
    """The delivery as it is, without each of its groups, with patch shuffling, and with pseudo-fakes."""
    arrived, usual = draw(View(tier=tier)), Delivery()
    everything = tuple(field for fields in GROUPS.values() for field in fields)
    variants = {"everything": usual, "nothing": _without(everything)}
    variants |= {f"without {name}": _without(fields) for name, fields in GROUPS.items()}
    variants["with patch shuffling"] = replace(usual, shuffle=SHUFFLED)
    for name, delivery in variants.items():
        yield finding(name, rows, LinearProbe(rows, [draw(View(delivery))], arrived))
    kinds = {SELF_BLEND: None} | ({AUTOENCODER: autoencoder} if autoencoder else {})
    for kind, weights in kinds.items():
        pseudo = draw(View(usual, pseudo=kind, autoencoder=weights))
        yield finding(f"with {kind} pseudo-fakes", rows, LinearProbe(rows, [draw(View(usual))], arrived, pseudo))


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


def markdown(findings: Sequence[Finding]) -> str:
    """One line for each finding."""
    lines = ["| training | AUC in domain | mean AUC, unseen | mean TPR@1% FPR, unseen |", "|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {f.name} | {f.in_domain:.4f} | {f.unseen:.4f} | {f.caught:.3f} |" for f in findings)]
    )
