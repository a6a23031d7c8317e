"""A clip -> one `Prediction` with one face for each person; scan, the API and the page all call `judge_clip`."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from facecheck import crop
from facecheck.batching import Decoded, area, batches
from facecheck.errors import ImageError
from facecheck.image import Pixels
from facecheck.result import Face, Prediction, Timing
from facecheck.video.frames import USUAL_STEP_S, Clip, ClipLimits, ClipSource
from facecheck.video.tracker import Tracker
from facecheck.video.tracks import Track

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

THUMBNAIL_PX, THUMBNAIL_MARGIN = 192, 1.3
PRUNED_ABOVE = 4
"""Tracks that are kept on the way, in `max_people`: hostile clips show new faces in every frame."""


@dataclass(frozen=True)
class JudgedClip:
    """What was seen in a clip.

    Attributes:
        prediction: one face for each person, those of most frames first; see `Track.answer` for the rule. The verdict
            of the clip follows from its faces as for a picture.
        tracks: of the same people, in the same order.
        thumbnails: of the same people, (192, 192, 3) uint8 RGB each, cut from the frame of `Track.at_s`.
        samples: frames that were looked at. people: that were seen; more than there are faces if `max_people` was met.
        clip: the file, read to its end or to a limit.
    """

    prediction: Prediction
    tracks: tuple[Track, ...]
    thumbnails: tuple[Pixels, ...]
    samples: int
    people: int
    clip: Clip

    def to_dict(self) -> dict[str, Any]:
        """Plain values of what the prediction does not say: every_s, length, what was not looked at, and the tracks."""
        clip = self.clip
        length = {"every_s": clip.limits.every_s, "duration_s": clip.duration_s, "fps": clip.fps, "frames": clip.frames}
        seen = {"complete": clip.is_complete, "unseen_s": clip.unseen_s, "stopped": clip.stopped}
        counts = {"samples": self.samples, "people": self.people}
        return length | seen | counts | {"tracks": [track.to_dict() for track in self.tracks]}


def judge_clip(
    source: ClipSource, checker: "FaceChecker", limits: ClipLimits | None = None, *, name: str = ""
) -> JudgedClip:
    """Judge a clip; memory does not grow with its length. The same clip gives the same answer under the same limits.

    Args:
        source: path or bytes of the file.
        name: what messages and the prediction call it.

    Raises:
        ImageError: not a clip, or no frame can be read.
    """
    clip, tracker, people = Clip(source, limits or ClipLimits(), name), Tracker(), _People()
    last, detect_ms, classify_ms = Prediction(clip.name), 0.0, 0.0
    for batch in batches(clip.samples(), lambda sample: area(sample[1])):
        answers = checker.judge_batch([Decoded(clip.name, frame, 0.0) for _, frame in batch])
        for (at_s, frame), last in zip(batch, answers, strict=True):
            faces = last.faces[: clip.limits.max_faces]
            people.add(tracker.update(at_s, faces, frame), faces, frame)
            detect_ms, classify_ms = detect_ms + last.timing_ms.detect, classify_ms + last.timing_ms.classify
        people.prune(clip.limits.max_people, tracker)
    found = people.most_seen(clip.limits.max_people)
    faces = tuple(track.answer(checker.decision, tracker.samples) for track, _ in found)
    timing = Timing(clip.decode_s * 1000, detect_ms, classify_ms)
    prediction = replace(last, source=clip.name, size=clip.size, faces=faces, timing_ms=timing)
    tracks, thumbnails = tuple(track for track, _ in found), tuple(picture for _, picture in found)
    return JudgedClip(prediction, tracks, thumbnails, tracker.samples, tracker.people, clip)


def frame_at(source: ClipSource, at_s: float) -> Pixels:
    """The frame of a clip at a time, (H, W, 3) uint8 RGB.

    Raises:
        ImageError: there is none.
    """
    clip = Clip(source, ClipLimits(every_s=at_s or USUAL_STEP_S, max_samples=sys.maxsize))
    for at, frame in clip.samples():
        if at >= at_s - 1e-3:
            return frame
    raise ImageError(f"{clip.name}: has no frame at {at_s:g} s any more")


class _People:
    """The tracks of a clip with a picture of each face."""

    def __init__(self) -> None:
        self._all: dict[int, tuple[Track, Pixels]] = {}

    def add(self, tracks: Iterable[Track], faces: Iterable[Face], frame: Pixels) -> None:
        for track, face in zip(tracks, faces, strict=True):
            if track.face is face:
                picture = crop.face(frame, face.box, THUMBNAIL_PX, THUMBNAIL_MARGIN)
                self._all[track.number] = track, picture

    def prune(self, most: int, tracker: Tracker) -> None:
        if len(self._all) > PRUNED_ABOVE * most:
            kept = {track.number for track, _ in self.most_seen(most)} | tracker.alive
            self._all = {number: one for number, one in self._all.items() if number in kept}

    def most_seen(self, most: int) -> list[tuple[Track, Pixels]]:
        return sorted(self._all.values(), key=lambda one: (-one[0].seen, -one[0].face.size_px, one[0].number))[:most]
