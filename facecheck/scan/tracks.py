"""Faces of successive frames that belong to one person, and one answer for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from facecheck.calibration import verdict
from facecheck.model.config import Decision
from facecheck.result import Box, Face, Reason, Verdict
from facecheck.scan.rows import Row

SMALLEST_OVERLAP = 0.3
LONGEST_GAP = 2
"""Samples that a face may be missing and still be the same one."""


@dataclass
class Track:
    """One face through the samples of a clip; it grows by one number for each."""

    face: Face
    at_s: float
    from_s: float
    to_s: float
    box: Box
    last_sample: int
    samples: int = 0
    rank: tuple[bool, float] = (False, 0.0)
    scores: list[float] = field(default_factory=list)
    doubts: Counter[Reason] = field(default_factory=Counter)

    def add(self, face: Face, at_s: float, sample: int) -> None:
        """The same face in a later sample."""
        self.to_s, self.box, self.last_sample, self.samples = at_s, face.box, sample, self.samples + 1
        hindrances = [reason for reason in face.reasons if reason != Reason.BORDERLINE]
        self.doubts.update(hindrances)
        if not hindrances:
            self.scores.append(face.p_fake)
        rank = (not hindrances, face.size_px)
        if rank > self.rank:
            self.rank, self.face, self.at_s = rank, face, at_s

    def answer(self, decision: Decision, samples: int) -> Face:
        """The largest face of the track that could be judged, with the median score of all that could.

        Args:
            samples: of the whole clip.
        """
        if not self.scores:
            reasons = tuple(reason for reason, _ in self.doubts.most_common())
            return replace(self.face, verdict=Verdict.UNCERTAIN, reasons=reasons)
        score = median(self.scores)
        word = verdict(score, decision)
        reasons = (Reason.BORDERLINE,) if word == Verdict.UNCERTAIN else ()
        if self.samples == 1 and samples > 2:
            reasons += (Reason.BRIEF,)
        return replace(self.face, p_fake=score, verdict=Verdict.UNCERTAIN if reasons else word, reasons=reasons)

    def to_dict(self) -> Row:
        """Plain values: seconds, counts, and the range of the scores."""
        scores = self.scores or [self.face.p_fake]
        times = {"from_s": self.from_s, "to_s": self.to_s, "at_s": self.at_s}
        counts = {"samples": self.samples, "judged": len(self.scores)}
        return times | counts | {"p_fake_low": min(scores), "p_fake_high": max(scores)}


class Tracker:
    """Joins the faces of each sample to those before."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.samples = 0
        self._active: list[Track] = []

    def add(self, faces: Sequence[Face], at_s: float) -> None:
        """The faces of the next sample."""
        self._active = [track for track in self._active if self.samples - track.last_sample - 1 <= LONGEST_GAP]
        known = joined([track.box for track in self._active], faces)
        for index, face in enumerate(faces):
            track = self._active[known[index]] if index in known else self._begin(face, at_s)
            track.add(face, at_s, self.samples)
        self.samples += 1

    def _begin(self, face: Face, at_s: float) -> Track:
        track = Track(face, at_s, at_s, at_s, face.box, self.samples)
        self.tracks.append(track)
        self._active.append(track)
        return track


def joined(boxes: Sequence[Box], faces: Sequence[Face]) -> dict[int, int]:
    """Which face was where before: by its index the index of its former box, best overlaps first, each box once."""
    shared = ((overlap(box, face.box), b, f) for b, box in enumerate(boxes) for f, face in enumerate(faces))
    found: dict[int, int] = {}
    for share, b, f in sorted(shared, reverse=True):
        if share >= SMALLEST_OVERLAP and f not in found and b not in found.values():
            found[f] = b
    return found


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two xyxy boxes, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0
