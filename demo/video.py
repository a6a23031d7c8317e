"""A short clip: frames sampled evenly, faces followed across them, one score over time for each.

Only files that begin as MP4, MOV, WebM or Matroska reach FFmpeg: play lists, which name other files and addresses, do
not. FFmpeg may open nothing but the one file (`PROTOCOLS`).
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from demo.tracking import Track, Tracker
from facecheck.checker import FaceChecker
from facecheck.errors import ImageError
from facecheck.image import Pixels
from facecheck.result import Face, Prediction, Reason, Timing, Verdict

MAX_SECONDS, FRAMES, WORK_SECONDS = 60.0, 30, 45.0
MAX_PIXELS, JUDGED_SIDE = 4096 * 2304, 1280
MIN_SEEN, MAX_FACES = 3, 12
PROTOCOLS = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file"}
MATROSKA = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True)
class Clip:
    """What was seen in a clip.

    Attributes:
        prediction: one face for each person followed, those of most frames first: as in their largest frame, with
            their median score; uncertain ("brief") where fewer than MIN_SEEN frames show them.
        tracks: of the same people, in the same order. seconds: of the clip that were looked at.
        stills: for each face the frame that it is drawn from, (H, W, 3) uint8 RGB.
    """

    prediction: Prediction
    tracks: tuple[Track, ...]
    seconds: float
    frames: int
    was_cut: bool
    stills: tuple[Pixels, ...]


def is_clip(data: bytes) -> bool:
    """Whether a file begins like MP4, MOV, WebM or Matroska; AVIF and HEIF pictures begin alike and are none."""
    brand = data[8:12]
    return data[:4] == MATROSKA or (
        data[4:8] in (b"ftyp", b"moov", b"mdat") and brand not in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
    )


def judge_clip(data: bytes, checker: FaceChecker) -> Clip:
    """Judge a clip.

    Raises:
        ImageError: no frame of it can be read.
    """
    started, tracker, count, last = time.monotonic(), Tracker(), 0, 0.0
    best: dict[int, tuple[Track, Face, Pixels]] = {}
    with tempfile.NamedTemporaryFile(suffix=".clip") as file:
        file.write(data)
        file.flush()
        length, frames = _opened(file.name)
        for at, pixels in frames:
            prediction = checker.predict(pixels)
            seen = prediction.faces[:MAX_FACES]
            for track, face in zip(tracker.update(at, seen), seen, strict=True):
                if track.number not in best or face.size_px > best[track.number][1].size_px:
                    best[track.number] = (track, face, pixels)
            count, last = count + 1, at
            if time.monotonic() - started > WORK_SECONDS:
                break
    if not count:
        raise ImageError("clip: no frame of it can be read; save it again as MP4")
    followed = sorted(best.values(), key=lambda one: -len(one[0].faces))[:MAX_FACES]
    enough = min(MIN_SEEN, count)
    faces = tuple(_summed_up(track, face, checker, len(track.faces) < enough) for track, face, _ in followed)
    timing = Timing(classify=(time.monotonic() - started) * 1000)
    answer = Prediction("clip", None, faces, prediction.model, timing)
    tracks, stills = tuple(track for track, _, _ in followed), tuple(still for _, _, still in followed)
    return Clip(answer, tracks, max(last, 0.1), count, length > MAX_SECONDS, stills)


def _summed_up(track: Track, face: Face, checker: FaceChecker, is_brief: bool) -> Face:
    middle = track.middle()
    if middle is None:
        return replace(face, verdict=Verdict.UNCERTAIN)
    verdict = track.verdict_of(middle, checker.decision)
    reasons: tuple[Reason, ...] = (Reason.BORDERLINE,) if verdict == Verdict.UNCERTAIN else ()
    if is_brief:
        reasons += (Reason.BRIEF,)
    return replace(face, p_fake=middle, verdict=Verdict.UNCERTAIN if reasons else verdict, reasons=reasons)


def _opened(path: str) -> tuple[float, Iterator[tuple[float, Pixels]]]:
    """The length in seconds as the file gives it, and the sampled frames with their times."""
    os.environ.update(PROTOCOLS)  # Read by OpenCV whenever it opens a file.
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not capture.isOpened() or not 0 < width * height <= MAX_PIXELS:
        capture.release()
        raise ImageError("clip: cannot be read, or its frames are too large; save it again as MP4, up to 4K")
    rate = capture.get(cv2.CAP_PROP_FPS)
    rate = rate if 1 <= rate <= 240 else 25.0
    length = max(capture.get(cv2.CAP_PROP_FRAME_COUNT), 0) / rate
    return length, _frames(capture, rate, min(length or MAX_SECONDS, MAX_SECONDS))


def _frames(capture: cv2.VideoCapture, rate: float, seconds: float) -> Iterator[tuple[float, Pixels]]:
    step = max(int(seconds * rate / FRAMES), 1)
    try:
        for number in range(int(MAX_SECONDS * rate)):
            if not capture.grab():
                return
            if number % step:
                continue
            read, frame = capture.retrieve()
            if not read:
                return
            yield number / rate, _reduced(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8))
    finally:
        capture.release()


def _reduced(frame: Pixels) -> Pixels:
    scale = JUDGED_SIDE / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
