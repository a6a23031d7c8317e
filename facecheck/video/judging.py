"""A clip -> one `Prediction` with one face for each person; scan, the API and the page all call `judge_clip`."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from facecheck import crop
from facecheck.batching import Decoded, area, batches
from facecheck.decoding import Pixels
from facecheck.errors import ImageError
from facecheck.result import Face, Prediction, Reason, Timing, Verdict
from facecheck.video.frames import USUAL_STEP_S, Clip, ClipLimits, ClipSource
from facecheck.video.tracker import Tracker
from facecheck.video.tracks import Track, evidence

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

THUMBNAIL_PX, SHOT_PX, THUMBNAIL_MARGIN = 192, 96, 1.3
PRUNED_ABOVE = 4
"""Tracks that are kept on the way, in `max_people`: hostile clips show new faces in every frame."""


@dataclass(frozen=True)
class Shot:
    """A face at one moment of a clip: pixels are (96, 96, 3) uint8 RGB."""

    at_s: float
    p_fake: float
    pixels: Pixels


@dataclass(frozen=True)
class JudgedClip:
    """What was seen in a clip.

    Attributes:
        prediction: one face for each person, those of most frames first; see `Track.answer` for the rule. The verdict
            of the clip follows from its faces as for a picture.
        tracks: of the same people, in the same order.
        thumbnails: of the same people, (192, 192, 3) uint8 RGB each, cut from the frame of `Track.at_s`.
        strips: of the same people, a few moments spread over their time; the one with the highest score that could be
            judged is among them. Empty where no shots were asked for.
        samples: frames that were looked at. people: that were seen; more than there are faces if `max_people` was met.
        clip: the file, read to its end or to a limit.
    """

    prediction: Prediction
    tracks: tuple[Track, ...]
    thumbnails: tuple[Pixels, ...]
    samples: int
    people: int
    clip: Clip
    strips: tuple[tuple[Shot, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values of what the prediction does not say: every_s, length, what was not looked at, and the tracks."""
        clip = self.clip
        length = {"every_s": clip.limits.every_s, "duration_s": clip.duration_s, "fps": clip.fps, "frames": clip.frames}
        seen = {"complete": clip.is_complete, "unseen_s": clip.unseen_s, "stopped": clip.stopped}
        counts = {"samples": self.samples, "people": self.people}
        return length | seen | counts | {"tracks": [track.to_dict() for track in self.tracks]}


def judge_clip(
    source: ClipSource,
    checker: "FaceChecker",
    limits: ClipLimits | None = None,
    *,
    name: str = "",
    shots: int = 0,
    watch: Callable[[float, float], None] | None = None,
) -> JudgedClip:
    """Judge a clip; memory does not grow with its length. The same clip gives the same answer under the same limits.

    No person of a clip that was not seen to its end is `real`: what was not looked at could be anything.

    Args:
        source: path or bytes of the file.
        name: what messages and the prediction call it.
        shots: moments of each person that are kept as pictures.
        watch: called now and then with the seconds that were looked at, and the seconds that the header claims; what it
            raises ends the work.

    Raises:
        ImageError: not a clip, or no frame can be read.
    """
    clip, tracker, people = Clip(source, limits or ClipLimits(), name), Tracker(), _People(shots)
    last, detect_ms, classify_ms = Prediction(clip.name), 0.0, 0.0
    for batch in batches(clip.samples(), lambda sample: area(sample[1])):
        answers = checker.judge_batch([Decoded(clip.name, frame, 0.0) for _, frame in batch])
        for (at_s, frame), last in zip(batch, answers, strict=True):
            faces = last.faces[: clip.limits.max_faces]
            people.add(tracker.update(at_s, faces, frame), faces, frame)
            detect_ms, classify_ms = detect_ms + last.timing_ms.detect, classify_ms + last.timing_ms.classify
        people.prune(clip.limits.max_people, tracker)
        if watch is not None:
            watch(batch[-1][0], clip.length_s)
    found = people.most_seen(clip.limits.max_people)
    faces = tuple(_answer(track, checker, tracker.samples, clip) for track, _ in found)
    timing = Timing(clip.decode_s * 1000, detect_ms, classify_ms)
    prediction = replace(last, source=clip.name, size=clip.size, faces=faces, timing_ms=timing)
    tracks, thumbnails = tuple(track for track, _ in found), tuple(picture for _, picture in found)
    strips = tuple(people.strip(track) for track in tracks) if shots else ()
    return JudgedClip(prediction, tracks, thumbnails, tracker.samples, tracker.people, clip, strips)


def _answer(track: Track, checker: "FaceChecker", samples: int, clip: Clip) -> Face:
    face = replace(track.answer(checker.decision, samples), expected_error=None)  # Measured on pictures only.
    if clip.is_complete or face.verdict != Verdict.REAL:
        return face
    return replace(face, verdict=Verdict.UNCERTAIN, reasons=(Reason.INCOMPLETE,))


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
    """The tracks of a clip with a picture of each face, and perhaps some of its moments."""

    def __init__(self, shots: int) -> None:
        self._all: dict[int, tuple[Track, Pixels]] = {}
        self._shots: dict[int, list[Shot]] = {}
        self._worst: dict[int, Shot] = {}
        self._most_shots = shots

    def add(self, tracks: Iterable[Track], faces: Iterable[Face], frame: Pixels) -> None:
        for track, face in zip(tracks, faces, strict=True):
            if track.face is face:
                picture = crop.face(frame, face.box, THUMBNAIL_PX, THUMBNAIL_MARGIN)
                self._all[track.number] = track, picture
            if self._most_shots:
                at_s, picture = track.observations[-1].at_s, crop.face(frame, face.box, SHOT_PX, THUMBNAIL_MARGIN)
                self._keep(track.number, Shot(at_s, face.p_fake, picture), is_judged=evidence(face) > 0)

    def _keep(self, number: int, shot: Shot, is_judged: bool) -> None:
        kept = self._shots.setdefault(number, [])
        kept.append(shot)
        if len(kept) > 2 * self._most_shots:
            del kept[1::2]
        worst = self._worst.get(number)
        if is_judged and (worst is None or shot.p_fake > worst.p_fake):
            self._worst[number] = shot

    def strip(self, track: Track) -> tuple[Shot, ...]:
        """Moments of a track in the order of time, evenly spread, with the worst in place of the one next to it."""
        kept, worst = self._shots[track.number], self._worst.get(track.number)
        times = np.linspace(kept[0].at_s, kept[-1].at_s, self._most_shots)
        chosen = {shot.at_s: shot for at_s in times for shot in [min(kept, key=lambda one: abs(one.at_s - at_s))]}
        if worst is not None and worst.at_s not in chosen:
            del chosen[min(chosen, key=lambda at_s: abs(at_s - worst.at_s))]
            chosen[worst.at_s] = worst
        return tuple(chosen[at_s] for at_s in sorted(chosen))

    def prune(self, most: int, tracker: Tracker) -> None:
        if len(self._all) > PRUNED_ABOVE * most:
            kept = {track.number for track, _ in self.most_seen(most)} | tracker.alive
            self._all = {number: one for number, one in self._all.items() if number in kept}
            for moments in (self._shots, self._worst):
                for number in moments.keys() - kept:
                    del moments[number]

    def most_seen(self, most: int) -> list[tuple[Track, Pixels]]:
        return sorted(self._all.values(), key=lambda one: (-one[0].seen, -one[0].face.size_px, one[0].number))[:most]
