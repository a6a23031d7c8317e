"""What the scores of a scan would say under other thresholds: the model's own, and its false-accusation budgets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from facecheck import calibration
from facecheck.errors import FacecheckError
from facecheck.model import config
from facecheck.model.files import DEFAULT_MODEL, model_files
from facecheck.result import Face, Prediction, Reason, Verdict
from facecheck.scan.rows import Row


@dataclass(frozen=True)
class Rule:
    """Thresholds that the scores can be read under: those of the scan, or of a budget stored with its model.

    Attributes:
        name: short. meaning: what was measured with it, a sentence.
        threshold: None for the first one: verdicts as they are in the rows.
    """

    name: str
    meaning: str
    threshold: config.Decision | None = None


AS_SCANNED = Rule("as scanned", "the verdicts as they are in the rows")


def rules_of(model: str = DEFAULT_MODEL, sha256: str | None = None) -> list[Rule]:
    """As scanned, the model's own threshold, and its budgets, the strictest last; only the first for another model.

    Args:
        sha256: of the weights that the rows were made with.
    """
    try:
        made_for = config.ModelConfig.from_json(model_files(model)[1].read_text(encoding="utf-8"))
    except (FacecheckError, OSError):
        return [AS_SCANNED]
    if sha256 is not None and made_for.sha256 != sha256:
        return [AS_SCANNED]
    own = Rule("the model's own threshold", "as `facecheck scan` uses it without --max-fpr", made_for.decision)
    budgets = sorted(made_for.decision.budgets, key=lambda budget: -budget.max_fpr)
    named = [Rule(f"--max-fpr {one.max_fpr:g}", one.meaning, made_for.decision.within(one)) for one in budgets]
    return [AS_SCANNED, own, *named]


def verdict_under(row: Row, threshold: config.Decision) -> str | None:
    """The verdict of a row as it would be under other thresholds; what makes a face hard to judge stays."""
    if row["error"] is not None:
        return None
    if len(row["faces"]) == 1:
        return _face_verdict(row["faces"][0], threshold)
    faces = (replace(Face.from_dict(face), verdict=_face_verdict(face, threshold)) for face in row["faces"])
    return Prediction(row["path"], faces=tuple(faces)).verdict


def _face_verdict(face: Mapping[str, Any], threshold: config.Decision) -> Verdict:
    if any(reason != Reason.BORDERLINE for reason in face["reasons"]):
        return Verdict.UNCERTAIN
    return calibration.verdict(face["p_fake"], threshold)


def deciding_face(row: Row) -> dict[str, Any] | None:
    """The face that gives the score; None without one."""
    if row["p_fake"] is None:
        return None
    faces: list[dict[str, Any]] = row["faces"]
    return min(faces, key=lambda face: abs(float(face["p_fake"]) - row["p_fake"]))
