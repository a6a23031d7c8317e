"""Which rows of a scan the desk shows, and under which thresholds their scores are read.

Filters become a condition in SQL: no text that a browser sends is ever a part of one. Rules say what the scores would
say under other thresholds: the model's own, and its false-accusation budgets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from facecheck import calibration
from facecheck.errors import FacecheckError
from facecheck.model import DEFAULT_MODEL, config, model_files
from facecheck.result import Face, Prediction, Reason, Verdict
from facecheck.scan.rows import Row

UNREADABLE, OPEN = "unreadable", "open"


@dataclass(frozen=True)
class Filters:
    """What is shown; by default everything.

    Attributes:
        rule: index of the rule that verdicts are read under.
        verdicts, decisions: any of them; "unreadable" and "open" stand for none.
        reason: a word of `facecheck.Reason`. folder: it and all below it. text: part of the path.
        from_p, to_p: of p_fake, the upper end too. from_px, to_px: of the face that decides, pixels.
        changed: only files whose verdict the rule changes. copies: only those with near-duplicates.
        family: only this one's copies. folded: near-duplicates are one row.
    """

    rule: int = 0
    verdicts: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    reason: str = ""
    folder: str = ""
    text: str = ""
    from_p: float | None = None
    to_p: float | None = None
    from_px: float | None = None
    to_px: float | None = None
    changed: bool = False
    copies: bool = False
    family: int | None = None
    folded: bool = True

    @classmethod
    def parsed(cls, asked: Mapping[str, Sequence[str]], *, rules: int) -> Self:
        """The filters in the parameters of an address; `rules` is how many there are.

        Raises:
            ValueError: not understood.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            given = asked.get(field.name)
            if given is None:
                continue
            if isinstance(field.default, tuple):
                values[field.name] = tuple(given)
            elif isinstance(field.default, bool):
                values[field.name] = given[0] == "1"
            elif isinstance(field.default, str):
                values[field.name] = given[0]
            else:
                values[field.name] = (int if field.name in ("rule", "family") else float)(given[0])
        if not 0 <= values.get("rule", 0) < rules:
            raise ValueError("no such rule")
        return cls(**values)

    def where(self, *, without: str = "") -> tuple[str, dict[str, Any]]:
        """The condition in SQL, and its values.

        Args:
            without: name of a filter that is left out, to count what else it could be set to.
        """
        verdict = f"verdict{self.rule}"
        parts: dict[str, tuple[str, dict[str, Any]]] = {
            "verdicts": _any_of(verdict, self.verdicts, UNREADABLE),
            "decisions": _any_of("decision", self.decisions, OPEN),
            "reason": ("instr(reasons, :reason)", {"reason": f" {self.reason} " if self.reason else None}),
            "folder": ("(folder = :folder OR substr(folder, 1, length(:folder) + 1) = :folder || '/')",
                       {"folder": self.folder or None}),
            "text": ("instr(lower(shown), lower(:text))", {"text": self.text or None}),
            "from_p": ("p_fake >= :from_p", {"from_p": self.from_p}),
            "to_p": ("p_fake <= :to_p", {"to_p": self.to_p}),
            "from_px": ("face_px >= :from_px", {"from_px": self.from_px}),
            "to_px": ("face_px <= :to_px", {"to_px": self.to_px}),
            "changed": (f"{verdict} IS NOT verdict0", {"changed": self.changed or None}),
            "copies": ("copies > 1", {"copies": self.copies or None}),
            "family": ("family = :family", {"family": self.family}),
        }  # fmt: skip
        used = [part for name, part in parts.items() if name != without and None not in part[1].values() and part[0]]
        return " AND ".join(sql for sql, _ in used) or "1", {key: v for _, values in used for key, v in values.items()}


def _any_of(column: str, words: Sequence[str], empty: str) -> tuple[str, dict[str, Any]]:
    if not words:
        return "", {}
    names = {f"{column}_{number}": word for number, word in enumerate(words)}
    return f"ifnull({column}, '{empty}') IN ({', '.join(f':{name}' for name in names)})", names


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
