"""Faces followed from frame to frame by the overlap of their boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from facecheck import calibration
from facecheck.model.config import Decision
from facecheck.result import Face, Reason, Verdict
from facecheck.scan.tracks import joined

# The live score follows new frames, but one bad frame does not turn it over.
NEW_SHARE = 0.3


@dataclass
class Track:
    """One face over time.

    Attributes:
        seconds, faces: when it was seen, and how; of equal length.
        smooth: p_fake, smoothed exponentially; None before the first frame that could be judged.
        missed: frames since it was seen last.
    """

    number: int
    seconds: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    smooth: float | None = None
    missed: int = 0

    def see(self, at: float, face: Face, keep: int) -> None:
        """Add what was seen; of long tracks the last `keep` frames stay."""
        self.seconds, self.faces, self.missed = [*self.seconds[-keep:], at], [*self.faces[-keep:], face], 0
        if is_judged(face):
            before = face.p_fake if self.smooth is None else self.smooth
            self.smooth = (1 - NEW_SHARE) * before + NEW_SHARE * face.p_fake

    @property
    def judged(self) -> list[float]:
        """The scores of the frames in which the face could be judged."""
        return [face.p_fake for face in self.faces if is_judged(face)]

    def verdict_of(self, p_fake: float | None, decision: Decision) -> Verdict:
        """The verdict that a score of this track means; uncertain where no frame could be judged."""
        return Verdict.UNCERTAIN if p_fake is None else calibration.verdict(p_fake, decision)

    def middle(self) -> float | None:
        """The median score, which a few bad frames do not move; None without a judged frame."""
        return median(self.judged) if self.judged else None


class Tracker:
    """Gives the same number to the same face as long as its boxes overlap from frame to frame.

    A face that stays away is forgotten: a camera may run for days. Who needs all tracks keeps what `update` returns.

    Args:
        patience: frames that a face may be away.
        keep: frames of a track that are remembered.
    """

    def __init__(self, patience: int = 5, keep: int = 1000) -> None:
        self._patience, self._keep, self._count = patience, keep, 0
        self._alive: list[Track] = []

    def update(self, at: float, faces: Sequence[Face]) -> list[Track]:
        """The track of each face, in order.

        Args:
            at: seconds.
        """
        known = joined([track.faces[-1].box for track in self._alive], faces)
        for track in self._alive:
            track.missed += 1
        found = [self._alive[known[index]] if index in known else self._new() for index in range(len(faces))]
        for track, face in zip(found, faces, strict=True):
            track.see(at, face, self._keep)
        self._alive = [track for track in self._alive if track.missed <= self._patience]
        return found

    def _new(self) -> Track:
        self._count += 1
        self._alive.append(Track(self._count))
        return self._alive[-1]


def is_judged(face: Face) -> bool:
    """Whether the score of a face counts: a borderline one does, that of a blurred or tiny face does not."""
    return not set(face.reasons) - {Reason.BORDERLINE}
