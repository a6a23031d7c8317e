"""Leave one out: how well is a generator caught, or a source of photographs spared, that training never saw?

Two protocols. `finetune` is the real thing: one training run for every name, hours on a processor. `features` is the
cheap one: the backbone stays as ImageNet or VGGFace2 left it, and only a linear classifier on its pooled features is
trained anew: pessimistic, but good for comparing generators, data and augmentations.

By the same protocols it is asked what helps against the unseen: augmentations left out, pseudo-fakes put in, data taken
away. A linear probe is judged in domain and on every generator left out in turn; or one fine-tuning run for each
variant, with some generators left out of it together, answers both at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facecheck.files import sha256_of
from facecheck.model.checkpoint import load_model
from facecheck.model.config import ModelConfig
from training.augment import Delivery
from training.data import FaceFile, arrived, strata
from training.evaluation import metrics
from training.evaluation.metrics import Bools, Floats, Ints, Words, clustered_interval, roc_auc, tpr_at
from training.fitting.train import Aids, logits, train
from training.fitting.trainer import TrainConfig
from training.pseudo import AUTOENCODER, SELF_BLEND
from training.unseen.extractor import Features
from training.unseen.features import LinearProbe, View

GENERATOR, REAL_SOURCE = "generator", "real source"
Score = Callable[[Bools, Bools], Floats]
"""(train mask, test mask), both (N,) over all rows -> (n_test,) scores, higher = fake."""


@dataclass(frozen=True)
class Held:
    """One name that training did not see.

    Attributes:
        kind: `GENERATOR` or `REAL_SOURCE`.
        faces: files of that name, all of them unseen.
        auc: against the other class of the test split; interval: 95 %, sources drawn anew.
        rate: of a generator, the TPR at 1 % FPR on the photographs of the test split; of a real source, its false
            alarms where 1 % of the photographs of the val split (of the other sources) are accused.
    """

    kind: str
    name: str
    faces: int
    auc: float
    interval: tuple[float, float]
    rate: float


class FineTuned:
    """A whole training run for every name, each in its own folder, so that a killed session goes on where it was.

    Args:
        tier: delivery tier of the test faces, cut at the manifest's box.
        autoencoder: weights for the pseudo-fakes of that kind.
    """

    def __init__(
        self, rows: Sequence[FaceFile], model: ModelConfig, config: TrainConfig, backbone: Path | None, folder: Path,
        tier: str = "web", autoencoder: Path | None = None,
    ) -> None:  # fmt: skip
        self.rows, self.model, self.config, self.backbone = list(rows), model, config, backbone
        self.folder, self.tier, self.autoencoder = folder, tier, autoencoder

    def __call__(self, train_mask: Bools, test: Bools) -> Floats:
        """Train on the rows of `train_mask`, score those of `test`."""
        run = self.folder / sha256_of(train_mask.tobytes())[:12]
        learned, judged = ([r for r, is_in in zip(self.rows, m, strict=True) if is_in] for m in (train_mask, test))
        path = train(learned, self.model, self.config, self.backbone, run, aids=Aids(self.autoencoder))
        scores = logits(load_model(path).network, self._batches(judged), self.model, torch.device("cpu"))
        return scores.double().numpy()

    def _batches(self, rows: Sequence[FaceFile], size: int = 64) -> Iterator[torch.Tensor]:
        for start in range(0, len(rows), size):
            yield torch.stack([self._face(row) for row in rows[start : start + size]])

    def _face(self, row: FaceFile) -> torch.Tensor:
        face = arrived(row, self.tier, self.model.input_size, self.model.crop_margin)
        return torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))


def leave_one_out(rows: Sequence[FaceFile], score: Score, kind: str, names: Sequence[str] = ()) -> list[Held]:
    """Train without each generator, or each real source, in turn, and measure on it.

    Args:
        rows: all splits. score: trains and scores, see `Score`. names: only these; all by default.
    """
    labels = np.array([row.generator if kind == GENERATOR else row.source for row in rows])
    of_kind = np.array([row.label == ("fake" if kind == GENERATOR else "real") for row in rows])
    found = sorted(set(labels[of_kind].tolist()) - {""})
    if unknown := set(names) - set(found):
        raise ValueError(f"no {kind} named {sorted(unknown)}; there are {found}")
    measure = _generator if kind == GENERATOR else _real_source
    return [measure(rows, (labels == name) & of_kind, name, score) for name in (names or found)]


def _masks(rows: Sequence[FaceFile], held: Bools) -> tuple[Bools, Bools, Ints, Words]:
    """Train mask, mask of what no training saw, targets, sources.

    Files that share a group with a held-out one (the same photograph in two sources) are not trained on either.
    """
    groups = np.array([row.group for row in rows])
    split = np.array([row.split for row in rows])
    train = (split == "train") & ~np.isin(groups, groups[held])
    targets = np.array([row.target for row in rows], dtype=np.int64)
    return train, split, targets, strata(rows)


def _auc(targets: Ints, scores: Floats, sources: Words) -> tuple[float, tuple[float, float]]:
    interval = clustered_interval(lambda i: roc_auc(targets[i], scores[i]), sources, targets, rounds=200)
    return roc_auc(targets, scores), interval


def _generator(rows: Sequence[FaceFile], held: Bools, name: str, score: Score) -> Held:
    train, split, targets, sources = _masks(rows, held)
    test = held | ((split == "test") & (targets == 0))
    scores, truth = score(train, test), targets[test]
    auc, interval = _auc(truth, scores, sources[test])
    return Held(GENERATOR, name, int(held.sum()), auc, interval, tpr_at(truth, scores))


def _real_source(rows: Sequence[FaceFile], held: Bools, name: str, score: Score) -> Held:
    train, split, targets, sources = _masks(rows, held)
    others = (split == "val") & (targets == 0) & ~held
    test = held | ((split == "test") & (targets == 1)) | others
    scores = score(train, test)
    judged = ~others[test]
    auc, interval = _auc(targets[test][judged], scores[judged], sources[test][judged])
    threshold = np.quantile(scores[others[test]], 0.99)
    return Held(REAL_SOURCE, name, int(held.sum()), auc, interval, float((scores[held[test]] > threshold).mean()))


def held_markdown(results: Sequence[Held]) -> str:
    """The results as markdown tables, one for each kind, with their means."""
    tables: list[str] = []
    for kind, rate in ((GENERATOR, "TPR@1% FPR"), (REAL_SOURCE, "false alarms at 1 % elsewhere")):
        part = [held for held in results if held.kind == kind]
        if not part:
            continue
        rows = [
            (h.name, h.faces, f"{h.auc:.4f} [{h.interval[0]:.3f}, {h.interval[1]:.3f}]", f"{h.rate:.3f}") for h in part
        ]
        auc, mean_rate = (float(np.mean([getattr(h, field) for h in part])) for field in ("auc", "rate"))
        mean = ("**mean**", sum(h.faces for h in part), f"**{auc:.4f}**", f"**{mean_rate:.3f}**")
        tables.append(metrics.table([f"unseen {kind}", "faces", "AUC [95 %]", rate], [*rows, mean]))
    return "\n\n".join(tables)


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


def _limited(score: Score, allowed: Bools) -> Score:
    def limited(train: Bools, test: Bools) -> Floats:
        return score(train & allowed, test)

    return limited


def findings_markdown(findings: Iterable[Finding]) -> Iterator[str]:
    """The lines of a table, each as soon as its finding is there."""
    yield from metrics.head(["training", "AUC in domain", "mean AUC, unseen", "mean TPR@1% FPR, unseen"])
    for found in findings:
        yield metrics.line((found.name, f"{found.in_domain:.4f}", f"{found.unseen:.4f}", f"{found.tpr:.3f}"))
