"""An evaluation from its question to its description: which files, judged how, beside which other model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.data import WORLD, FaceFile
from training.evaluation.comparison import compare
from training.evaluation.corruptions import CurvePoint
from training.evaluation.report import Evaluation
from training.evaluation.subject import How, Judged, judge
from training.evaluation.summary import TierSummary, summarise


@dataclass(frozen=True)
class Task:
    """A split of a data folder, and how it is judged.

    Attributes:
        everything: all rows of the manifest in `root`.
        leave_out: sources of the split, as "name" or "label/name", that are not counted.
        rounds: of the bootstrap.

    Raises:
        ValueError: the split lacks a class, or has no such source.
    """

    everything: Sequence[FaceFile]
    root: Path
    tiers: Sequence[str]
    how: How
    split: str
    leave_out: tuple[str, ...] = ()
    rounds: int = 500

    def __post_init__(self) -> None:
        if {row.label for row in self.rows} != {"real", "fake"}:
            raise ValueError(f"split {self.split!r} of {self.root} has {len(self.rows)} files; both classes are needed")
        known = {name for row in self.rows for name in _names(row)}
        if missing := [name for name in self.leave_out if name not in known]:
            raise ValueError(f"split {self.split!r} has no source {', '.join(missing)} to leave out")

    @property
    def rows(self) -> list[FaceFile]:
        """Of the split; with the sources that are left out."""
        return [row for row in self.everything if row.split == self.split]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The sources that are not counted, as "label/name"."""
        return tuple(sorted({_names(row)[1] for row in self.rows if {*_names(row)} & {*self.leave_out}}))

    def judge(self, model: str) -> Judged:
        """Whatever `model` names on the split, without the sources that are left out.

        Raises:
            ModelError, DeviceError, ValueError: as `training.evaluation.subject.judge`.
        """
        judged = judge(model, self.rows, self.root, self.tiers, self.how)
        return replace(judged, scores=judged.scores.where(~np.isin(judged.scores.strata, self.left_out)))

    def summarised(self, judged: Judged) -> tuple[TierSummary, ...]:
        """Each tier of what was judged."""
        return tuple(summarise(tier, part, self.rounds) for tier, part in judged.scores.by_tier().items())

    def evaluation(self, judged: Judged, command: str, points: Sequence[CurvePoint], other: str | None) -> Evaluation:
        """The description of what was judged, beside the model `other` on the same files."""
        second = self.judge(other) if other else None
        over_sources = self.split == WORLD
        return Evaluation(
            judged.subject,
            self.split,
            command,
            self.summarised(judged),
            judged.learned_from(),
            self.left_out,
            judged.crossfitted,
            tuple(points),
            second.subject if second else None,
            self.summarised(second) if second else (),
            tuple(compare(judged.scores, second.scores, self.rounds, over_sources=over_sources)) if second else (),
            other_learned_from=second.learned_from() if second else (),
        )


def _names(row: FaceFile) -> tuple[str, str]:
    return row.source, f"{row.label}/{row.source}"
