"""Observations -> verdicts, as the pipeline would have answered: who decides on which file, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from facecheck import calibration
from facecheck.error_rates import Quality
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision, Limits
from facecheck.quality import reasons
from facecheck.result import Face, Prediction, Verdict
from training.calibration.calibration_set import FITTED_ON, CalibrationSet
from training.calibration.crossfit import crossfit
from training.data import FaceFile
from training.evaluation.metrics import Floats, Ints
from training.evaluation.observations import Observations, observe
from training.evaluation.scores import Scored, Scores, columns


@dataclass(frozen=True)
class Judges:
    """Who judges which file.

    Attributes:
        decisions: one, or two that take turns. turns: (number of files,) index of the one that judges each.
        crossfitted: whether each file is judged by a decision that was fitted on other sources.
    """

    decisions: tuple[Decision, ...]
    turns: Ints
    crossfitted: bool

    @classmethod
    def one(cls, decision: Decision, rows: Sequence[FaceFile]) -> Self:
        """The same for all."""
        return cls((decision,), np.zeros(len(rows), np.int64), False)

    def p_fake(self, observed: Observations) -> Floats:
        """(M,) of each observed face."""
        either = np.stack([calibration.p_fake(observed.logit, one, observed.face_px) for one in self.decisions])
        return np.asarray(either[self.turns[observed.file], np.arange(len(observed.file))])


def judges_of(model: Model, rows: Sequence[FaceFile], cache: Path | None = None, device: str = "auto") -> Judges:
    """The decision that ships with a model, or, on the very split that it was fitted on, one for each half of it.

    Args:
        rows: all of the split. cache, device: see `training.evaluation.observations.observe`.
    """
    decision = model.config.decision
    if {row.split for row in rows} == {decision.fitted_on}:
        faces = CalibrationSet.of(observe(model, rows, FITTED_ON, cache, device))
        if fit := crossfit(faces, rows, decision.criteria):
            turns = np.array([fit.halves[f"{row.label}/{row.source}"] for row in rows], dtype=np.int64)
            return Judges(fit.decisions, turns, True)
    return Judges.one(decision, rows)


def decide(observed: Observations, judges: Judges, limits: Limits, root: Path) -> Scores:
    """Every delivered file as one row; `root` is the folder of the manifest."""
    probabilities, quality, found = judges.p_fake(observed), observed.quality, []
    for picture in observed.pictures:
        file = int(observed.file[picture[0]])
        decision = judges.decisions[judges.turns[file]]
        faces = tuple(_face(float(probabilities[k]), quality[k], decision, limits) for k in picture.tolist())
        item = Scored(observed.rows[file], Prediction("", faces=faces), bool(observed.detected[picture[0]]))
        found.append(columns(item, str(observed.delivery[picture[0]]), root, decision.threshold))
    return Scores.from_rows(found)


def _face(p_fake: float, measured: Quality, decision: Decision, limits: Limits) -> Face:
    """The part of a face that speaks for its picture; where it lies does not matter any more."""
    verdict = Verdict.UNCERTAIN if reasons(measured, limits) else calibration.verdict(p_fake, decision)
    return Face((0.0, 0.0, measured.face_px, measured.face_px), (), 1.0, p_fake, verdict)
