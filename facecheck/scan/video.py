"""Clips: sampled frames, faces followed through them, one answer for the whole.

Videos are hostile input too. FFmpeg would also open play lists and addresses on the network, so it is only given files
that begin like one of the containers below.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facecheck.errors import ImageError
from facecheck.image import MAX_PIXELS, Pixels
from facecheck.result import Prediction, Timing
from facecheck.scan.rows import Row, Settings
from facecheck.scan.tracks import Tracker

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

HEAD_BYTES = 512
BATCH_FRAMES = 8
BATCH_PIXELS = 16_000_000
COMPLETE_SHARE = 0.95
"""FRAME_COUNT is an estimate from the header."""
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"jpeg")
MAGIC = (b"\x1aE\xdf\xa3", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
TRANSPORT_PACKET, TRANSPORT_MARK = 188, b"G"


def is_clip(path: str) -> bool:
    """Whether a file begins like a video (MP4, MOV, MKV, WebM, AVI, FLV, MPEG, WMV); its name is no proof."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as stream:
            return begins_like_clip(stream.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False


def begins_like_clip(head: bytes) -> bool:
    """As `is_clip`, by the first 512 bytes of a file, or more of it."""
    if head[4:8] in MP4_BOXES:
        return head[8:12] not in STILL_BRANDS
    marks = [head[place : place + 1] for place in range(0, 2 * TRANSPORT_PACKET + 1, TRANSPORT_PACKET)]
    return head.startswith(MAGIC) or (head[:4], head[8:12]) == (b"RIFF", b"AVI ") or marks == [TRANSPORT_MARK] * 3


@dataclass
class Clip:
    """An open video.

    Attributes:
        frames: read so far.
        seconds: spent decoding.

    Raises:
        ImageError: no frame can be read, or frames are too large.
    """

    path: str
    every_s: float
    frames: int = 0
    duration_s: float = 0.0
    decode_s: float = 0.0
    size: tuple[int, int] | None = None
    _capture: cv2.VideoCapture = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # FFmpeg by name: other readers take a % in the name for a pattern.
        self._capture = cv2.VideoCapture(self.path, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise ImageError(f"{self.path}: a damaged video, or a codec that is not supported; convert it to MP4")
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.claimed_frames = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        area = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH) * self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if area > MAX_PIXELS:
            raise ImageError(f"{self.path}: frames of more than {MAX_PIXELS} pixels; reduce it first")

    def samples(self) -> Iterator[tuple[float, Pixels]]:
        """Seconds from the start, and the frame there (H, W, 3) uint8 RGB; the first, then one every `every_s`."""
        due = 0.0
        started = time.perf_counter()
        try:
            while self._capture.grab():
                at = self._position()
                self.frames, self.duration_s = self.frames + 1, at
                if at < due:
                    continue
                found, frame = self._capture.retrieve()
                if not found:
                    continue
                due = at + self.every_s - 1e-6
                pixels = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
                self.size = (pixels.shape[1], pixels.shape[0])
                self.decode_s += time.perf_counter() - started
                yield at, pixels
                started = time.perf_counter()
        finally:
            self._capture.release()
        if self.size is None:
            raise ImageError(f"{self.path}: no frame of it can be decoded; convert it to MP4")

    def to_dict(self) -> Row:
        """Plain values."""
        complete = self.frames >= COMPLETE_SHARE * self.claimed_frames
        length = {"every_s": self.every_s, "duration_s": self.duration_s, "fps": self.fps, "frames": self.frames}
        return length | {"complete": complete}

    def _position(self) -> float:
        told = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        return told if told > 0 or not self.fps > 0 else self.frames / self.fps


def judge_clip(path: str, checker: "FaceChecker", settings: Settings) -> tuple[Prediction, Row]:
    """Judge a video; memory does not grow with its length.

    Returns:
        One face for each person followed (see `facecheck.scan.tracks`), and what there is to say of the clip:
        every_s, duration_s, fps, frames, complete, samples, and tracks in the order of the faces.

    Raises:
        ImageError: no frame can be read.
    """
    clip, tracker = Clip(path, settings.every_s), Tracker()
    detect_s = classify_s = 0.0
    for batch in _batches(clip.samples()):
        pictures = [frame for _, frame in batch]
        started = time.perf_counter()
        detections = checker.detector.detect(pictures)
        detected = time.perf_counter()
        for (at, _), faces in zip(batch, checker.judge(pictures, detections), strict=True):
            tracker.add(faces, at)
        detect_s, classify_s = detect_s + detected - started, classify_s + time.perf_counter() - detected
    answers = [(track.answer(checker.decision, tracker.samples), track) for track in tracker.tracks]
    answers.sort(key=lambda answer: -answer[0].size_px)
    budget = None if settings.max_fpr is None else checker.config.decision.budget(settings.max_fpr)
    timing = Timing(clip.decode_s * 1000, detect_s * 1000, classify_s * 1000)
    faces = tuple(face for face, _ in answers)
    found = Prediction(path, clip.size, faces, settings.model, timing, budget=budget)
    return found, clip.to_dict() | {"samples": tracker.samples, "tracks": [track.to_dict() for _, track in answers]}


def frame_at(path: str, at_s: float) -> Pixels:
    """The sampled frame of a clip at a time.

    Raises:
        ImageError: there is none.
    """
    for at, frame in Clip(path, at_s or 1.0).samples():
        if at >= at_s - 1e-3:
            return frame
    raise ImageError(f"{path}: has no frame at {at_s:g} s any more")


def _batches(samples: Iterable[tuple[float, Pixels]]) -> Iterator[list[tuple[float, Pixels]]]:
    batch: list[tuple[float, Pixels]] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) >= BATCH_FRAMES or len(batch) * sample[1][:, :, 0].size >= BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch
