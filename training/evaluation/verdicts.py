"""Observations and a decision -> the score table, as the pipeline would have answered: nothing is computed anew."""

from pathlib import Path

from facecheck import calibration
from facecheck.model.config import Decision, Limits
from facecheck.quality import reasons
from facecheck.result import Face, Prediction, Quality, Verdict
from training.calibration.crossfit import Judges
from training.evaluation.observations import Observations
from training.evaluation.scores import Scores
from training.evaluation.scoring import Scored, columns


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
