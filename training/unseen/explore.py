"""The log of experiments: each is run once, has one line in a ledger, and one row in a table."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facecheck.files import sha256_of
from facecheck.ledger import KeyedLedger
from training.unseen.experiments import Experiment
from training.unseen.judgement import Judgement, judge, weighted_auc
from training.unseen.laboratory import Laboratory


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
        "faces": hashlib.sha256(repr(faces).encode()).hexdigest(),
        "backbones": {kind: sha256_of(path) for kind, path in laboratory.backbones.items()},
    }


def _key(experiment: Experiment, inputs: Mapping[str, Any]) -> str:
    """Only the backbones that take part count."""
    taking_part = {part.backbone: inputs["backbones"][part.backbone] for part in experiment.parts}
    facts = [asdict(experiment), {**inputs, "backbones": taking_part}]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


HEADER = (
    "| experiment | learned from | world AUC [95 %] | modern | balanced | TPR@1% FPR | most accused | least caught | "
    "test AUC |\n|---|--:|---|--:|--:|--:|---|---|--:|"
)


def markdown(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a table, each as soon as its entry is there."""
    yield from HEADER.split("\n")
    for entry in entries:
        world = entry.world
        yield (
            f"| {entry.name} | {entry.learned} | {world.auc:.3f} [{world.low:.3f}, {world.high:.3f}] | "
            f"{world.modern_auc:.3f} | {world.balanced_accuracy:.3f} | {world.tpr:.3f} | "
            f"{world.worst_real} {world.accused:.0%} | {world.worst_fake} {world.caught:.0%} | {entry.test_auc:.3f} |"
        )
