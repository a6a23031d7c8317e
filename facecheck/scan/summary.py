"""A ledger in numbers: counts, a histogram, the files that most likely were generated."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from facecheck.scan.rows import CLIP, Row

BINS = 20
SUSPECTS = 40
UNREADABLE = "unreadable"
SHOWN_ERRORS = 100


@dataclass(frozen=True, order=True)
class Suspect:
    """A file that was called fake or stands near it; ordered by score."""

    p_fake: float
    path: str
    verdict: str = field(compare=False)
    faces: int = field(compare=False)
    box: tuple[float, ...] = field(compare=False)
    at_s: float | None = field(compare=False)


@dataclass
class Summary:
    """What is kept of all rows, whatever their number.

    Attributes:
        histogram: pictures by p_fake, 20 equal bins over [0, 1].
        verdicts: by verdict, with "unreadable" for files with an error.
        cut_clips: clips that were not looked at to their end.
    """

    files: int = 0
    faces: int = 0
    clips: int = 0
    cut_clips: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    errors: list[tuple[str, str]] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)
    suspects: list[Suspect] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """One more file."""
        self.files += 1
        self.faces += len(row["faces"])
        if row["kind"] == CLIP:
            self.clips += 1
            self.cut_clips += not row["clip"]["complete"]
        self.verdicts[row["verdict"] or UNREADABLE] += 1
        self.reasons.update(row["reasons"])
        self.models[f"{row['model']['name']} {row['model']['version']}"] += 1
        if row["error"] is not None and len(self.errors) < SHOWN_ERRORS:
            self.errors.append((row["path"], row["error"]))
        if row["p_fake"] is not None:
            self.histogram[min(int(row["p_fake"] * BINS), BINS - 1)] += 1
            self._suspect(row)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; paths as they are."""
        numbers: dict[str, Any] = {"files": self.files, "clips": self.clips, "faces": self.faces}
        numbers |= {"cut_clips": self.cut_clips}
        counts = {"verdicts": dict(self.verdicts), "reasons": dict(self.reasons), "models": dict(self.models)}
        worst = [{"path": s.path, "p_fake": s.p_fake, "verdict": s.verdict} for s in self.most_suspicious()]
        return numbers | counts | {"histogram": self.histogram, "most_suspicious": worst}

    def most_suspicious(self) -> list[Suspect]:
        """At most 40, the highest score first."""
        return sorted(self.suspects, reverse=True)

    def _suspect(self, row: Row) -> None:
        # The faces that decide the verdict give the score; several may share it.
        number, face = min(enumerate(row["faces"]), key=lambda one: abs(one[1]["p_fake"] - row["p_fake"]))
        at_s = row["clip"]["tracks"][number]["at_s"] if row["clip"] else None
        box = tuple(face["box"])
        suspect = Suspect(row["p_fake"], row["path"], row["verdict"], len(row["faces"]), box, at_s)
        if len(self.suspects) < SUSPECTS:
            heapq.heappush(self.suspects, suspect)
        else:
            heapq.heappushpop(self.suspects, suspect)


def summarise(rows: Iterable[Row]) -> Summary:
    """Read rows once; memory does not grow with their number."""
    summary = Summary()
    for row in rows:
        summary.add(row)
    return summary
