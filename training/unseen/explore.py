"""The log of experiments: heads on frozen features, fitted and judged as an experiment says.

Each is run once, has one line in a ledger, and one row in a table. It is judged by its rates on sources that it has not
learned from, the split `world`.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from facecheck.files import sha256_of
from facecheck.ledger import KeyedLedger
from training.augment import Delivery
from training.crossfit import source_halves
from training.data import WORLD, FaceFile, copy_path, sampling_weights, strata
from training.evaluation.metrics import (
    Bools,
    Floats,
    Ints,
    Words,
    balanced,
    clustered_interval,
    head,
    line,
    roc_auc,
    roc_curve,
    source_weights,
    tpr_at,
)
from training.unseen.experiments import PAIRS, Experiment, Part, kept, learning, modern
from training.unseen.extractor import KINDS, Features, columns
from training.unseen.features import Examples, Head, View, extract

WORST_OF = 10
"""Faces that a source needs to be the worst."""
ROUNDS = 200


@dataclass(frozen=True)
class Judgement:
    """Sources weigh the same, see `training.evaluation.metrics.source_weights`.

    Attributes:
        auc, low, high: with the 95 % interval of a bootstrap over sources.
        modern_auc: of the fakes of modern generators alone, against all photographs; NaN without any.
        balanced_accuracy: at the best threshold of one half of the sources, on the other half, both ways.
        tpr: at 1 % FPR.
        worst_real, accused: the source of photographs with the most false alarms at those thresholds, and their share.
        worst_fake, caught: the source of fakes that is caught least, and its share.
    """

    auc: float
    low: float
    high: float
    modern_auc: float
    balanced_accuracy: float
    tpr: float
    worst_real: str
    accused: float
    worst_fake: str
    caught: float


def judge(rows: Sequence[FaceFile], scores: Floats) -> Judgement:
    """Of the (N,) scores of rows that nothing was fitted on, higher = fake.

    Raises:
        ValueError: a class is absent, or has but one source.
    """
    targets, sources = np.array([row.target for row in rows]), strata(rows)
    if min(len(set(sources[targets == target])) for target in (0, 1)) < 2:
        raise ValueError("it takes two sources of each class that nothing learns from: `prepare --world SOURCE`")
    weights = source_weights(sources, targets)

    def auc(chosen: Ints) -> float:
        return roc_auc(targets[chosen], scores[chosen], weights[chosen])

    called = _called(rows, scores, targets, weights)
    recent = np.array([modern(row) for row in rows])
    low, high = clustered_interval(auc, sources, targets, ROUNDS)
    return Judgement(
        auc(np.arange(len(rows))), low, high,
        auc(np.flatnonzero(recent | (targets == 0))) if recent.any() else float("nan"),
        balanced((called == (targets == 1)).astype(np.float64), targets, weights),
        tpr_at(targets, scores, weights=weights),
        *_extreme(sources[targets == 0], called[targets == 0], highest=True),
        *_extreme(sources[targets == 1], called[targets == 1], highest=False),
    )  # fmt: skip


def weighted_auc(rows: Sequence[FaceFile], scores: Floats) -> float:
    """Area under the ROC curve, sources weighing the same; NaN where a class is absent."""
    targets, sources = np.array([row.target for row in rows]), strata(rows)
    if len(set(targets.tolist())) < 2:
        return float("nan")
    return roc_auc(targets, scores, source_weights(sources, targets))


def _called(rows: Sequence[FaceFile], scores: Floats, targets: Ints, weights: Floats) -> Bools:
    """(N,) whether a face is called fake at the threshold that is best on the other half of the sources."""
    halves = source_halves(rows)
    side = np.array([halves[row.stratum] for row in rows])
    called = np.zeros(len(rows), dtype=bool)
    for half in (0, 1):
        fitted = side != half
        fpr, tpr, thresholds = roc_curve(targets[fitted], scores[fitted], weights[fitted])
        called[~fitted] = scores[~fitted] >= thresholds[int(np.argmax(tpr - fpr))]
    return called


def _extreme(sources: Words, called: Bools, highest: bool) -> tuple[str, float]:
    """The source with the highest or lowest share of faces that are called fake; small ones only where all are."""
    counts = Counter(sources.tolist())
    large = [name for name, count in counts.items() if count >= WORST_OF] or list(counts)
    shares = {name.partition("/")[2]: float(called[sources == name].mean()) for name in sorted(large)}
    name = (max if highest else min)(shares, key=lambda name: shares[name])
    return name, shares[name]


class Laboratory:
    """Faces and backbones; features are extracted when the first experiment asks for them, and kept.

    Args:
        rows: all splits. backbones: kind -> safetensors. cache_folder: of the features.
        tier: how the faces arrive that are judged. copies: a folder of `training pairs`.
    """

    def __init__(
        self, rows: Sequence[FaceFile], backbones: Mapping[str, Path], cache_folder: Path, tier: str = "web",
        copies: Path | None = None,
    ) -> None:  # fmt: skip
        self.rows, self.learning = list(rows), learning(rows)
        self.world, self.test = ([row for row in rows if row.split == split] for split in (WORLD, "test"))
        self.backbones, self.cache_folder, self.tier, self.copies = backbones, cache_folder, tier, copies
        self._extractor = cache(lambda kind: KINDS[kind](self.backbones[kind]))

    def learned(self, experiment: Experiment) -> list[FaceFile]:
        """The rows that a head is fitted to."""
        chosen = kept(
            self.learning, experiment.without, experiment.files, experiment.photograph_sources, experiment.fake_sources
        )
        return [row for row, stays in zip(self.learning, chosen, strict=True) if stays]

    def head(self, experiment: Experiment) -> Head:
        """Fitted to the learning splits; of the others neither labels nor features are looked at.

        Raises:
            ValueError: a class is absent from what it learns from, or a part names no such features.
        """
        rows, parts = self.learned(experiment), experiment.parts
        weights = sampling_weights(rows, _boost(rows, experiment.modern), experiment.power)
        views = [self._arrived(parts, rows)] if experiment.arrived else []
        delivered = [View(Delivery(), seed=seed) for seed in range(experiment.deliveries)]
        views += [self._features(parts, self.learning, view, rows) for view in delivered]
        examples = Examples.of(rows, weights, views)
        if experiment.pseudo:
            examples = examples.with_copies(self._pseudo_fakes(experiment, rows), experiment.pseudo_share)
        return examples.head(experiment.strength)

    def logits(self, experiment: Experiment, head: Head, rows: Sequence[FaceFile]) -> Floats:
        """(N,) of rows as they arrive, positive = fake."""
        return head.logits(self._arrived(experiment.parts, rows))

    def _arrived(self, parts: Sequence[Part], rows: Sequence[FaceFile]) -> Features:
        return self._features(parts, self.rows, View(tier=self.tier), rows)

    def _pseudo_fakes(self, experiment: Experiment, rows: Sequence[FaceFile]) -> Features:
        """(N, D): what can be made of the photographs among `rows`, for copies of those that have one.

        Raises:
            ValueError: there are no copies.
        """
        photographs, view = (
            [row for row in self.learning if row.target == 0],
            View(Delivery(), pseudo=experiment.pseudo),
        )
        if experiment.pseudo == PAIRS:
            copies = self.copies
            photographs = [row for row in photographs if copies and copy_path(copies, row).is_file()]
            view = View(Delivery(), copies=copies)
        if not photographs:
            raise ValueError(
                f"{experiment.name}: there are no {experiment.pseudo}; `python -m training pairs` makes them"
            )
        learned = {row.path for row in rows}
        chosen = [row for row in photographs if row.path in learned]
        return self._features(experiment.parts, photographs, view, chosen)

    def _features(
        self, parts: Sequence[Part], shown: Sequence[FaceFile], view: View, rows: Sequence[FaceFile]
    ) -> Features:
        """(N, D) of `rows`, which are among those `shown` in the view, the columns of all parts side by side."""
        places = {row.path: place for place, row in enumerate(shown)}
        wanted = np.array([places[row.path] for row in rows], dtype=np.intp)
        found = []
        for part in parts:
            extractor = self._extractor(part.backbone)
            chosen = columns(extractor.blocks, part.layers, part.statistics)
            found.append(extract(extractor, shown, view, self.cache_folder)[np.ix_(wanted, chosen)])
        return np.concatenate(found, axis=1)


def _boost(rows: Sequence[FaceFile], factor: float) -> dict[str, float]:
    """The factor for each source that has nothing but fakes of modern generators."""
    names = {row.stratum for row in rows}
    return dict.fromkeys(names - {row.stratum for row in rows if not modern(row)}, factor)


@dataclass(frozen=True)
class Entry:
    """What came of an experiment.

    Attributes:
        learned: faces that the head was fitted to, each in every view.
        world: on sources that it has not learned from. test_auc: on files of those that it has, NaN without any.
        seconds: what fitting and judging took, and extracting where this experiment was the first to need a view.
    """

    name: str
    learned: int
    world: Judgement
    test_auc: float
    seconds: float

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Entry":
        """Of a row of the ledger."""
        return cls(row["name"], row["learned"], Judgement(**row["world"]), row["test_auc"], row["seconds"])


def explore(laboratory: Laboratory, experiments: Iterable[Experiment], ledger: Path) -> Iterator[Entry]:
    """Run those experiments that the ledger does not have, and yield all of them in their order.

    Raises:
        LedgerError: the file cannot be written, or is another process's. ValueError: see `Laboratory.head` and `judge`.
    """
    inputs = _inputs(laboratory)
    with KeyedLedger(ledger) as log:
        for experiment in experiments:
            key = _key(experiment, inputs)
            if key not in log.entries:
                facts = {"experiment": asdict(experiment), "inputs": {**inputs, "faces": inputs["faces"][:16]}}
                log.add(key, {**asdict(run(laboratory, experiment)), **facts})
            yield Entry.read(log.entries[key])


def run(laboratory: Laboratory, experiment: Experiment) -> Entry:
    """Fit on the learning splits, judge on the world."""
    began = time.perf_counter()
    head = laboratory.head(experiment)
    world, test = (laboratory.logits(experiment, head, rows) for rows in (laboratory.world, laboratory.test))
    return Entry(
        experiment.name, len(laboratory.learned(experiment)), judge(laboratory.world, world),
        weighted_auc(laboratory.test, test), round(time.perf_counter() - began, 1),
    )  # fmt: skip


def _inputs(laboratory: Laboratory) -> dict[str, Any]:
    """What every result depends on besides its experiment."""
    faces = [(r.path.name, r.label, r.source, r.generator, r.split, r.group, r.box) for r in laboratory.rows]
    return {
        "tier": laboratory.tier,
        "faces": sha256_of(repr(faces).encode()),
        "backbones": {kind: sha256_of(path) for kind, path in laboratory.backbones.items()},
    }


def _key(experiment: Experiment, inputs: Mapping[str, Any]) -> str:
    """Only the backbones that take part count."""
    taking_part = {part.backbone: inputs["backbones"][part.backbone] for part in experiment.parts}
    facts = [asdict(experiment), {**inputs, "backbones": taking_part}]
    return sha256_of(json.dumps(facts, sort_keys=True).encode())[:32]


COLUMNS = (
    "experiment", "learned from", "world AUC [95 %]", "modern", "balanced", "TPR@1% FPR", "most accused",
    "least caught", "test AUC",
)  # fmt: skip


def log_markdown(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a table, each as soon as its entry is there."""
    yield from head(COLUMNS)
    for entry in entries:
        world = entry.world
        yield line((
            entry.name, entry.learned, f"{world.auc:.3f} [{world.low:.3f}, {world.high:.3f}]",
            f"{world.modern_auc:.3f}", f"{world.balanced_accuracy:.3f}", f"{world.tpr:.3f}",
            f"{world.worst_real} {world.accused:.0%}", f"{world.worst_fake} {world.caught:.0%}",
            f"{entry.test_auc:.3f}",
        ))  # fmt: skip
