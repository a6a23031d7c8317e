"""What is asked of the review desk, and what it answers, without HTTP."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from facecheck.explain import wording
from facecheck.files import printable
from facecheck.review.decisions import Decision, Decisions, Judgement, csv_of, labels_of
from facecheck.review.pictures import Pictures
from facecheck.review.summary import as_page
from facecheck.review.table import ReviewTable
from facecheck.scan.rows import prediction_of

MOST_NAME = 60
EXPORTS = ("decisions.csv", "manifest.csv", "summary.html")


class Desk:
    """Safe to use from several threads.

    Args:
        reviewer: who decides, unless the page says otherwise.
    """

    def __init__(self, table: ReviewTable, decisions: Decisions, pictures: Pictures, reviewer: str) -> None:
        self.table, self.decisions, self.pictures, self.reviewer = table, decisions, pictures, reviewer
        self._log: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.news(0)

    def news(self, seen: int) -> dict[str, Any]:
        """The decisions since the `seen`-th, whoever made them."""
        with self._lock:
            self._note(self.decisions.refresh())
            return {"seen": len(self._log), "changes": self._log[seen:]}

    def decide(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Decide about a file and, unless `alone`, its near-duplicates.

        Raises:
            ReviewConflictError: somebody else did. KeyError, ValueError, TypeError: not understood.
        """
        number, seen = int(asked["id"]), int(asked["seen"])
        judgement = None if asked["judgement"] is None else Judgement(asked["judgement"])
        by = printable(str(asked.get("by") or self.reviewer))[:MOST_NAME]
        rows = [self.table.row(number)] if asked.get("alone") else self.table.family(number)
        if not rows:
            raise KeyError(number)
        with self._lock:
            self._note(self.decisions.decide(rows, judgement, by, seen))
            return {"seen": len(self._log), "changes": self._log[seen:]}

    def about(self, number: int) -> dict[str, Any]:
        """Everything about one file, in words."""
        row = self.table.row(number)
        prediction = prediction_of(row)
        faces = [
            {"box": face.box, "p_fake": face.p_fake, "verdict": face.verdict, "size_px": face.size_px,
             "reasons": wording.reasons(face),
             "expected": " ".join(wording.chance_of_error(face.expected_error)) if face.expected_error else None}
            for face in prediction.faces
        ]  # fmt: skip
        latest = self.decisions.latest.get(row["path"])
        decided = latest if latest is not None and latest.holds_for(row) else None
        return {
            "id": number, "path": printable(row["path"]), "bytes": row["size"], "size": prediction.size,
            "kind": row["kind"],
            "headline": wording.headline(prediction), "explained": wording.explained(prediction), "faces": faces,
            "file_says": wording.file_says(prediction), "contradiction": prediction.contradiction,
            "error": printable(row["error"] or ""), "verdict": prediction.verdict, "p_fake": prediction.p_fake,
            "decision": decided and {"judgement": decided.judgement, "by": decided.by, "at": decided.at},
        }  # fmt: skip

    def setting(self) -> dict[str, Any]:
        """What the page needs once."""
        rules = [
            {"name": rule.name, "meaning": rule.meaning}
            | ({} if rule.threshold is None else {
                "threshold": rule.threshold.threshold,
                "band": [rule.threshold.uncertain_from, rule.threshold.uncertain_to],
            })
            for rule in self.table.rules
        ]  # fmt: skip
        words = {"note": wording.NOT_A_PROOF, "heat_map": wording.HEAT_MAP_CAUTION}
        about = {
            "name": self.table.ledger.name,
            "reviewer": self.reviewer,
            "folder": printable(str(self.table.folder())),
        }
        return about | {"rules": rules, "words": words}

    def exported(self, name: str) -> bytes:
        """One of `EXPORTS`: all decisions, those that training can learn from, or the summary page with them.

        Raises:
            KeyError: no such file.
        """
        rows, latest = self.table.rows(), self.decisions.latest
        match name:
            case "decisions.csv":
                return csv_of(rows, latest)
            case "manifest.csv":
                return labels_of(rows, latest, self.table.folder())[0]
            case "summary.html":
                return as_page(rows, latest).encode("utf-8", "backslashreplace")
        raise KeyError(name)

    def _note(self, decisions: Sequence[Decision]) -> None:
        for number, decision in zip(self.table.note(decisions), decisions, strict=True):
            self._log.append({"id": number, "judgement": decision.judgement, "by": decision.by})
