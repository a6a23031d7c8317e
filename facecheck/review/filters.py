"""What the desk shows of a table, as a condition in SQL: no text that a browser sends is ever a part of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
