"""Faces of successive frames that belong to one person.

A face continues a track where the track's motion leads to it (overlap of the boxes, as in SORT: Bewley et al. 2016),
unless it looks quite different; or where it looks alike (colour histograms: Comaniciu, Ramesh, Meer 2003) and a person
could have got there meanwhile. A face is compared with the last appearances of the track (as in DeepSORT: Wojke et al.
2017), for the very last may have been half hidden. The best pairs are associated first.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot

import cv2
import numpy as np
import numpy.typing as npt

from facecheck import crop
from facecheck.decoding import Pixels
from facecheck.result import Box, Face
from facecheck.video.tracks import Track

Appearance = npt.NDArray[np.float32]

SMALLEST_OVERLAP = 0.3
SIZE_RATIO = 0.6
"""A face does not grow or shrink by more from one frame that is looked at to the next that shows it."""
SIMILAR_IN_PLACE, SIMILAR_ELSEWHERE = 0.6, 0.93
"""How alike two faces look at least: where their boxes overlap, and where nothing else joins them. In a street scene of
ten people, faces of two of them look as alike as 0.93 in 1 % of the pairs."""
FASTEST = 8.0
"""Sizes of its face that a person moves in a second: a run across the picture."""
LONGEST_GAP, LONGEST_GAP_S = 5, 1.0
"""Frames that a face may be missing and still be the same one; more of them within one second."""
APPEARANCE_PX, APPEARANCE_MARGIN, HUES, SATURATIONS = 64, 1.3, 16, 8
APPEARANCES_KEPT = 8


class Tracker:
    """Follows faces from frame to frame; a face that stays away is forgotten, for a camera may run for days.

    Whoever needs all tracks keeps what `update` returns.

    Args:
        patience: frames that a face may be missing; it is not forgotten within `LONGEST_GAP_S` either.
        keep: observations of a track that are kept, the latest; None: all.

    Attributes:
        samples: frames so far. people: tracks so far.
    """

    def __init__(self, patience: int = LONGEST_GAP, keep: int | None = None) -> None:
        self.samples = self.people = 0
        self._patience, self._keep = patience, keep
        self._alive: list[_TrackState] = []

    @property
    def alive(self) -> set[int]:
        """Numbers of the tracks that may still go on."""
        return {one.track.number for one in self._alive}

    def update(self, at_s: float, faces: Sequence[Face], frame: Pixels | None = None) -> list[Track]:
        """The track of each face, in order.

        Args:
            frame: (H, W, 3) uint8 RGB in which the faces stand; without it their motion alone joins them.
        """
        appearances = [None if frame is None else appearance(frame, face.box) for face in faces]
        known = self._associated(at_s, faces, appearances)
        self.samples += 1
        found = []
        for index, face in enumerate(faces):
            state = known.get(index) or self._begin(at_s, face)
            state.move(at_s, face.box, appearances[index], self.samples)
            state.track.add(at_s, face)
            if self._keep is not None:
                del state.track.observations[: -self._keep]
            found.append(state.track)
        self._alive = [
            one for one in self._alive if self.samples - one.sample <= self._patience or at_s - one.at_s < LONGEST_GAP_S
        ]
        return found

    def _begin(self, at_s: float, face: Face) -> "_TrackState":
        self.people += 1
        self._alive.append(_TrackState(Track(self.people, face, at_s), at_s, face.box))
        return self._alive[-1]

    def _associated(
        self, at_s: float, faces: Sequence[Face], appearances: Sequence[Appearance | None]
    ) -> "dict[int, _TrackState]":
        pairs = [
            (affinity, number, index)
            for number, state in enumerate(self._alive)
            for index, face in enumerate(faces)
            if (affinity := state.affinity(at_s, face.box, appearances[index])) is not None
        ]
        found: dict[int, _TrackState] = {}
        taken: set[int] = set()
        for _, number, index in sorted(pairs, reverse=True):
            if index not in found and number not in taken:
                found[index] = self._alive[number]
                taken.add(number)
        return found


@dataclass
class _TrackState:
    """A track with where its face was last, how it moves, and how it looked."""

    track: Track
    at_s: float
    box: Box
    appearances: deque[Appearance] = field(default_factory=lambda: deque(maxlen=APPEARANCES_KEPT))
    velocity: tuple[float, float] | None = None
    sample: int = 0

    def move(self, at_s: float, box: Box, seen: Appearance | None, sample: int) -> None:
        if self.sample and at_s > self.at_s:
            (x0, y0), (x1, y1) = _centre(self.box), _centre(box)
            now = (x1 - x0) / (at_s - self.at_s), (y1 - y0) / (at_s - self.at_s)
            before = self.velocity or now
            self.velocity = (before[0] + now[0]) / 2, (before[1] + now[1]) / 2
        self.at_s, self.box, self.sample = at_s, box, sample
        if seen is not None:
            self.appearances.append(seen)

    def affinity(self, at_s: float, box: Box, seen: Appearance | None) -> float | None:
        """How well a face continues this track; None where it cannot."""
        size, other = _size(self.box), _size(box)
        if min(size, other) < SIZE_RATIO * max(size, other):
            return None
        passed = at_s - self.at_s
        expected = self._expected(passed)
        shared = overlap(expected, box)
        similarity = (
            None if seen is None or not self.appearances else max(float(known @ seen) for known in self.appearances)
        )
        if max(shared, overlap(self.box, box)) >= SMALLEST_OVERLAP:
            if similarity is None or similarity >= SIMILAR_IN_PLACE:
                return shared + (similarity or 0.0)
        elif similarity is not None and similarity >= SIMILAR_ELSEWHERE:
            way = min(_distance(expected, box), _distance(self.box, box)) / max(size, other)
            if way <= 0.5 + FASTEST * passed:
                return similarity - way / 10
        return None

    def _expected(self, passed: float) -> Box:
        across, down = self.velocity or (0.0, 0.0)
        x0, y0, x1, y1 = self.box
        return x0 + across * passed, y0 + down * passed, x1 + across * passed, y1 + down * passed


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two xyxy boxes, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0


def appearance(frame: Pixels, box: Box) -> Appearance | None:
    """How a face and what is around it look, as a unit vector: roots of the shares of hue and saturation.

    The product of two of them is the Bhattacharyya coefficient of the histograms.

    Returns:
        (128,) float32; None where the middle of the box lies outside the frame.
    """
    x, y = _centre(box)
    if not (0 <= x < frame.shape[1] and 0 <= y < frame.shape[0]):
        return None
    colours = cv2.cvtColor(crop.face(frame, box, APPEARANCE_PX, APPEARANCE_MARGIN), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([colours], [0, 1], None, [HUES, SATURATIONS], [0, 180, 0, 256])
    return np.sqrt(counts.ravel() / APPEARANCE_PX**2).astype(np.float32)


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _distance(first: Box, second: Box) -> float:
    (x0, y0), (x1, y1) = _centre(first), _centre(second)
    return hypot(x1 - x0, y1 - y0)


def _size(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1], 1e-6)
