"""A clip's frames with their times: sampled, upright, and within limits.

FFmpeg gets the bytes of one file through `_Bytes`, never a name that it could take for a pattern, an address or a list.
"""

import io
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import cv2
import numpy as np

from facecheck.decoding import MAX_PIXELS, Pixels
from facecheck.errors import ImageError
from facecheck.image import describe
from facecheck.sanitising import open_file
from facecheck.video import HEAD_BYTES, is_clip

ClipSource: TypeAlias = "str | os.PathLike[str] | bytes | memoryview"

FEWEST_SAMPLES = 16
USUAL_STEP_S = 1.0
HANDLERS_WITHIN = 1 << 20
"""Bytes at the beginning and the end of an MP4 that are looked through for the kinds of its tracks."""
COMPLETE_SHARE = 0.95
"""The number of frames in a header is an estimate."""
PLANNED_SHARE = 0.9
"""Of the time for the work; the rest is for what costs more than it did so far."""


@dataclass(frozen=True)
class ClipLimits:
    """What of a clip is looked at, and what it may cost. Whatever is met is said in `Clip.stopped`.

    Attributes:
        every_s: seconds from one frame that is looked at to the next. None: one second, and less in clips shorter than
            16 seconds, so that about 16 frames are. More where `max_samples` or, at the pace so far, `max_work_s` would
            not reach to the end.
        max_pixels: of one frame; larger ones are refused.
        max_samples: frames that are looked at. max_frames: frames that are decoded on the way to them.
        max_seconds: of the film. max_work_s: of the clock, from the opening on.
        max_faces: of one frame, the largest. max_people: whose answers are given, those in most frames.
    """

    every_s: float | None = None
    max_pixels: int = MAX_PIXELS
    max_samples: int = 3600
    max_frames: int = 500_000
    max_seconds: float = 6 * 3600.0
    max_work_s: float = 1800.0
    max_faces: int = 64
    max_people: int = 100

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and not value > 0:
                raise ValueError(f"{limit.name} is {value!r}; it must be above 0")


@dataclass
class Clip:
    """An open clip. `samples` reads it, once.

    Args:
        source: path or bytes of the file.
        name: what messages call it.

    Attributes:
        frames: decoded so far. duration_s: time of the last of them. decode_s: spent on them.
        size: width and height of a frame, pixels.
        length_s: of the film, as the header says; 0 where it does not.
        stopped: name of the limit that was met; None where the clip was read to its end.

    Raises:
        ImageError: not a clip, no frame can be read, or frames are too large.
    """

    source: ClipSource
    limits: ClipLimits = field(default_factory=ClipLimits)
    name: str = ""
    frames: int = 0
    duration_s: float = 0.0
    decode_s: float = 0.0
    size: tuple[int, int] | None = None
    stopped: str | None = None

    def __post_init__(self) -> None:
        self.name = self.name or describe(self.source)
        self._began = time.monotonic()
        self._bytes = _Bytes(_opened(self.source, self.name), self._began + self.limits.max_work_s)
        if not is_clip(self._bytes.read(HEAD_BYTES)):
            self._bytes.close()
            raise ImageError(f"{self.name}: not a video, or of a kind that is not supported; convert it to MP4")
        self._bytes.seek(0)
        self._capture = self._captured()
        self.fps = self._number(cv2.CAP_PROP_FPS)
        self.claimed_frames = self._number(cv2.CAP_PROP_FRAME_COUNT)
        self.length_s = self.claimed_frames / self.fps if self.fps > 0 else 0.0

    def _captured(self) -> cv2.VideoCapture:
        stream: Any = self._bytes  # The stubs know no streams.
        capture = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, [])
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # The default; upright frames are too important to rest on it.
        area = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if capture.isOpened() and area <= self.limits.max_pixels:
            return capture
        is_large = capture.isOpened()
        capture.release()
        sound_only = not is_large and self._bytes.has_sound_only()
        self._bytes.close()
        if is_large:
            raise ImageError(f"{self.name}: frames of more than {self.limits.max_pixels} pixels; reduce it first")
        what = "has sound and no picture" if sound_only else "a damaged video, or a codec that is not supported"
        raise ImageError(f"{self.name}: {what}; " + ("pass a film" if sound_only else "convert it to MP4"))

    def samples(self) -> Iterator[tuple[float, Pixels]]:
        """Seconds from the start, and the frame there (H, W, 3) uint8 RGB, upright.

        Raises:
            ImageError: there is none, or one is too large.
        """
        due, count, started = 0.0, 0, time.perf_counter()
        try:
            while self._capture.grab():
                at = self._position()
                self.stopped = self._limit_met(at, count if at >= due else -1)
                if self.stopped is not None:
                    break
                self.frames, self.duration_s = self.frames + 1, at
                found, frame = self._capture.retrieve() if at >= due else (False, None)
                if not found or frame is None:
                    continue
                count += 1
                due = at + self._step(at, count) - 1e-6
                pixels = self._checked(frame)
                self.decode_s += time.perf_counter() - started
                yield at, pixels
                started = time.perf_counter()
            if self._bytes.was_cut and self.frames != self.claimed_frames:  # An index may follow the frames.
                self.stopped = self.stopped or "max_work_s"
        finally:
            self._capture.release()
            self._bytes.close()
        if self.size is None:
            raise ImageError(f"{self.name}: no frame of it can be decoded; convert it to MP4")

    @property
    def is_complete(self) -> bool:
        """Whether the film was seen to its end; what is cut off in the file counts as not seen."""
        return self.stopped is None and self.frames >= COMPLETE_SHARE * self.claimed_frames

    @property
    def unseen_s(self) -> float:
        """Seconds of the film, as its header counts them, behind the last frame that was read."""
        return 0.0 if self.is_complete else max(self.length_s - self.duration_s, 0.0)

    def _limit_met(self, at: float, samples: int) -> str | None:
        work_s = time.monotonic() - self._began
        spent = {"max_samples": samples, "max_frames": self.frames, "max_seconds": at, "max_work_s": work_s}
        return next((name for name, much in spent.items() if much >= getattr(self.limits, name)), None)

    def _step(self, at: float, samples: int) -> float:
        """Seconds to the next sample; past the length that the header claims it grows with the time."""
        limits = self.limits
        length = min(self.length_s, limits.max_seconds)
        step = limits.every_s
        if step is None:
            step = min(max(length, at, USUAL_STEP_S) / FEWEST_SAMPLES, USUAL_STEP_S)
        return max(step, length / limits.max_samples, (length - at) / self._affordable(samples))

    def _affordable(self, samples: int) -> float:
        """Further samples for which there is time, if each costs as much as those so far."""
        spent_s = time.monotonic() - self._began
        return max(PLANNED_SHARE * self.limits.max_work_s - spent_s, 0.0) / max(spent_s, 1e-6) * samples + 1

    def _position(self) -> float:
        """Seconds; never less than before, whatever the file says."""
        said = self._number(cv2.CAP_PROP_POS_MSEC) / 1000
        at = said if said > 0 or not self.fps > 0 else self.frames / self.fps
        return max(at, self.duration_s)

    def _number(self, which: int) -> float:
        value = float(self._capture.get(which))
        return value if math.isfinite(value) else 0.0

    def _checked(self, frame: Any) -> Pixels:
        pixels = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        self.size = (pixels.shape[1], pixels.shape[0])
        if self.size[0] * self.size[1] > self.limits.max_pixels:
            raise ImageError(f"{self.name}: frames of more than {self.limits.max_pixels} pixels; reduce it first")
        return pixels


class _Bytes(io.BufferedIOBase):
    """What FFmpeg reads from: one file, up to the deadline. No exception may reach the C++ that calls it.

    Attributes:
        was_cut: whether there was more to read after the deadline.
    """

    def __init__(self, file: BinaryIO, deadline: float) -> None:
        self._file, self._deadline, self.was_cut = file, deadline, False

    def read(self, size: int | None = -1, /) -> bytes:
        """Nothing after the deadline, as at the end of the file."""
        try:
            if time.monotonic() < self._deadline:
                return self._file.read(-1 if size is None else size)
            self.was_cut = self.was_cut or bool(self._file.read(1))
            return b""
        except (OSError, ValueError):
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new place; -1 where there is none."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1

    def has_sound_only(self) -> bool:
        """Whether an MP4 says that it has a track of sound, and none of pictures (ISO 14496-12, `hdlr`)."""
        found = b""
        for place in (0, max(self.seek(0, os.SEEK_END) - HANDLERS_WITHIN, 0)):
            self.seek(place)
            found += self.read(HANDLERS_WITHIN)
        return b"soun" in found and b"vide" not in found

    def close(self) -> None:
        """Also the file."""
        self._file.close()
        super().close()


def _opened(source: ClipSource, name: str) -> BinaryIO:
    if isinstance(source, (bytes, memoryview)):
        return io.BytesIO(source)
    try:
        if not Path(source).is_file():  # A pipe would never end.
            raise ImageError(f"{name}: no such file, or not a regular one; check the path")
        return open_file(source)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{name}: cannot be read ({error.strerror if isinstance(error, OSError) else error})"
        ) from error
