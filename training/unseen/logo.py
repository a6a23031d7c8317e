"""Leave one out: how well is a generator caught, or a source of photographs spared, that training never saw?

Two protocols. `finetune` is the real thing: one training run for every name, hours on a processor. `features` is the
cheap one: the backbone stays as ImageNet or VGGFace2 left it, and only a linear classifier on its pooled features is
trained anew: pessimistic, but good for comparing generators, data and augmentations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from facecheck.files import sha256_of
from facecheck.model.checkpoint import load_model
from facecheck.model.config import ModelConfig
from training.data import FaceFile
from training.evaluation.metrics import Floats, Ints, clustered_interval, roc_auc, tpr_at
from training.fitting.monitoring import arrived, logits
from training.fitting.train import Aids, train
from training.fitting.trainer import TrainConfig
from training.markdown import table

GENERATOR, REAL_SOURCE = "generator", "real source"
Mask = npt.NDArray[np.bool_]
Score = Callable[[Mask, Mask], Floats]
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

    def __call__(self, train_mask: Mask, test: Mask) -> Floats:
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


def _masks(rows: Sequence[FaceFile], held: Mask) -> tuple[Mask, Mask, Ints, npt.NDArray[np.str_]]:
    """Train mask, mask of what no training saw, targets, sources.

    Files that share a group with a held-out one (the same photograph in two sources) are not trained on either.
    """
    groups = np.array([row.group for row in rows])
    split = np.array([row.split for row in rows])
    train = (split == "train") & ~np.isin(groups, groups[held])
    targets = np.array([row.target for row in rows], dtype=np.int64)
    return train, split, targets, np.array([f"{row.label}/{row.source}" for row in rows])


def _auc(targets: Ints, scores: Floats, sources: npt.NDArray[np.str_]) -> tuple[float, tuple[float, float]]:
    interval = clustered_interval(lambda i: roc_auc(targets[i], scores[i]), sources, targets, rounds=200)
    return roc_auc(targets, scores), interval


def _generator(rows: Sequence[FaceFile], held: Mask, name: str, score: Score) -> Held:
    train, split, targets, sources = _masks(rows, held)
    test = held | ((split == "test") & (targets == 0))
    scores, truth = score(train, test), targets[test]
    auc, interval = _auc(truth, scores, sources[test])
    return Held(GENERATOR, name, int(held.sum()), auc, interval, tpr_at(truth, scores))


def _real_source(rows: Sequence[FaceFile], held: Mask, name: str, score: Score) -> Held:
    train, split, targets, sources = _masks(rows, held)
    others = (split == "val") & (targets == 0) & ~held
    test = held | ((split == "test") & (targets == 1)) | others
    scores = score(train, test)
    judged = ~others[test]
    auc, interval = _auc(targets[test][judged], scores[judged], sources[test][judged])
    threshold = np.quantile(scores[others[test]], 0.99)
    return Held(REAL_SOURCE, name, int(held.sum()), auc, interval, float((scores[held[test]] > threshold).mean()))


def markdown(results: Sequence[Held]) -> str:
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
        tables.append(table([f"unseen {kind}", "faces", "AUC [95 %]", rate], [*rows, mean]))
    return "\n\n".join(tables)
