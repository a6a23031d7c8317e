"""One face over time, and the rule that makes one answer of all its frames."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from facecheck.calibration import verdict
from facecheck.model.config import Decision
from facecheck.result import Face, Reason, Verdict

FEWEST_JUDGED = 3
OPPOSED_FRAMES, OPPOSED_SHARE = 2, 0.15
FULL_WEIGHT_PX, LEAST_WEIGHT = 64.0, 0.25
FRONTAL, PROFILE = 0.25, 0.75
"""`Quality.turned` up to which a face weighs fully, and from which on it weighs least."""


@dataclass(frozen=True)
class Observation:
    """A face in one frame.

    Attributes:
        weight: in the verdict on its track, in [0, 1]; 0 where the face could not be judged.
    """

    at_s: float
    p_fake: float
    weight: float


@dataclass
class Track:
    """One face over time.

    Attributes:
        number: from 1, in the order in which the faces came.
        face: the largest that could be judged. at_s: when that was.
        observations: in the order of time; `Tracker` says how many are kept.
        seen: how many there were.
        doubts: why the face could not be judged, by frames.
    """

    number: int
    face: Face
    at_s: float
    observations: list[Observation] = field(default_factory=list)
    seen: int = 0
    doubts: Counter[Reason] = field(default_factory=Counter)

    @property
    def judged(self) -> list[Observation]:
        """Those in which the face could be judged."""
        return [observation for observation in self.observations if observation.weight > 0]

    def add(self, at_s: float, face: Face) -> None:
        """The same face in a later frame."""
        weight = evidence(face)
        self.observations.append(Observation(at_s, face.p_fake, weight))
        self.seen += 1
        if not weight:
            self.doubts.update(reason for reason in face.reasons if reason != Reason.BORDERLINE)
        if (weight > 0, face.size_px) > (evidence(self.face) > 0, self.face.size_px):
            self.face, self.at_s = face, at_s

    def answer(self, decision: Decision, samples: int) -> Face:
        """One face for the track: its largest that could be judged, with the track's score and verdict.

        The rule. Only frames in which the face could be judged count. Each weighs what it offers as evidence: small and
        turned faces less. The score is the weighted median of theirs, which a few bad frames do not move, and the
        verdict is what the model's thresholds make of it. It is `uncertain` instead
        - where fewer than three frames could be judged, unless the clip has no more: too little to go by (`brief`);
        - where two frames or more, with 15 % of the weight or more, would have given the opposite verdict: what was
          seen contradicts itself, so neither verdict is safe (`inconsistent`).

        Args:
            samples: frames of the whole clip that were looked at.
        """
        judged = self.judged
        if not judged:
            reasons = tuple(reason for reason, _ in self.doubts.most_common())
            return replace(self.face, verdict=Verdict.UNCERTAIN, reasons=reasons)
        score = weighted_median([(one.p_fake, one.weight) for one in judged])
        word = verdict(score, decision)
        failed = {
            Reason.BORDERLINE: word == Verdict.UNCERTAIN,
            Reason.BRIEF: len(judged) < min(FEWEST_JUDGED, samples),
            Reason.INCONSISTENT: _contradicts(judged, word, decision),
        }
        reasons = tuple(reason for reason, is_so in failed.items() if is_so)
        return replace(self.face, p_fake=score, verdict=Verdict.UNCERTAIN if reasons else word, reasons=reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: seconds, counts, and the range of the scores."""
        times = {"from_s": self.observations[0].at_s, "to_s": self.observations[-1].at_s, "at_s": self.at_s}
        scores = [one.p_fake for one in self.judged] or [self.face.p_fake]
        counts = {"samples": self.seen, "judged": len(self.judged)}
        return times | counts | {"p_fake_low": min(scores), "p_fake_high": max(scores)}


def evidence(face: Face) -> float:
    """How much a face weighs in the verdict on its track, in [0, 1]: 0 where it could not be judged.

    A borderline score counts, that of a blurred or tiny face does not. From 64 pixels on size makes no difference,
    below the weight falls with it; it falls too as a face turns to the side.
    """
    if set(face.reasons) - {Reason.BORDERLINE}:
        return 0.0
    turned = 0.0 if face.quality is None else face.quality.turned
    frontal = 1 - (1 - LEAST_WEIGHT) * min(max((turned - FRONTAL) / (PROFILE - FRONTAL), 0.0), 1.0)
    return frontal * min(max(face.size_px / FULL_WEIGHT_PX, LEAST_WEIGHT), 1.0)


def weighted_median(pairs: Sequence[tuple[float, float]]) -> float:
    """Of values with weights above 0: half of the weight lies on either side; with equal weights the usual median."""
    ordered = sorted(pairs)
    half, below = sum(weight for _, weight in ordered) / 2, 0.0
    for place, (value, weight) in enumerate(ordered):
        below += weight
        if np.isclose(below, half) and place + 1 < len(ordered):
            return (value + ordered[place + 1][0]) / 2
        if below > half:
            return value
    return ordered[-1][0]


def _contradicts(judged: Sequence[Observation], word: Verdict, decision: Decision) -> bool:
    opposite = {Verdict.REAL: Verdict.FAKE, Verdict.FAKE: Verdict.REAL}.get(word)
    against = [one.weight for one in judged if verdict(one.p_fake, decision) == opposite]
    share = sum(against) / sum(one.weight for one in judged)
    return len(against) >= OPPOSED_FRAMES and share >= OPPOSED_SHARE
