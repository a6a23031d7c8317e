"""One checker for all visitors: loaded in the background, with bounded numbers of pictures at work and waiting."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
import numpy as np

from facecheck.checker import FaceChecker
from facecheck.decoding import Pixels
from facecheck.errors import ImageError
from facecheck.explain.explanation import explain
from facecheck.explain.report import Explanation, FaceEvidence
from facecheck.result import Face, Prediction, Verdict
from facecheck.video.containers import is_clip
from facecheck.video.frames import ClipLimits
from facecheck.video.judging import JudgedClip, judge_clip

Result = TypeVar("Result")

TURNED_CONFIDENCE, TURNED_FACE_PX = 0.99, 40
LOADING_LIMIT_S = 120.0
CLIPS = ClipLimits(max_pixels=4096 * 2304, max_samples=60, max_frames=36_000, max_work_s=45, max_people=24)
"""Sixty moments of the whole film, so that nobody waits long for somebody else's clip."""
ANOTHER_CLIP = Prediction("clip", error="clip: only one is judged in a request; send each by itself")


class BusyError(Exception):
    """Too many pictures are waiting already."""


class NotReadyError(Exception):
    """The model is not loaded yet, or cannot be."""


@dataclass(frozen=True)
class Judged:
    """A picture and its answer.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, as the answer's boxes count them.
        turned: quarter turns against the clock that it took to find a face.
        faces: the largest, as the model saw them.
    """

    pixels: Pixels
    prediction: Prediction
    turned: int = 0
    faces: tuple[FaceEvidence, ...] = ()


class Service:
    """Judges pictures for everybody.

    Args:
        make_checker: called once, in a thread of its own.
        workers: jobs at the same time. waiting: further jobs that may wait; the next one raises `BusyError`.
    """

    def __init__(self, make_checker: Callable[[], FaceChecker], workers: int, waiting: int) -> None:
        self._make_checker, self._workers, self._places = make_checker, workers, workers + waiting
        self._inside = 0
        self._limiter: anyio.CapacityLimiter | None = None
        self._checker: FaceChecker | None = None
        self._problem = ""
        self._done = threading.Event()
        self._started = threading.Lock()

    @property
    def state(self) -> str:
        """Loading, ready or failed."""
        if not self._done.is_set():
            return "loading"
        return "ready" if self._checker else "failed"

    @property
    def waiting(self) -> int:
        """Jobs that wait now."""
        return max(self._inside - self._workers, 0)

    @property
    def checker(self) -> FaceChecker:
        """The checker, for those who run inside `run`.

        Raises:
            NotReadyError: it cannot be loaded, or that takes too long.
        """
        self.start()
        self._done.wait(LOADING_LIMIT_S)
        if self._checker is None:
            raise NotReadyError(self._problem or "the model is still loading")
        return self._checker

    def start(self) -> None:
        """Begin to load the model, once, without waiting for it."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._load, name="model", daemon=True).start()

    async def run(self, job: Callable[[], Result]) -> Result:
        """Run a job in a thread when it is its turn.

        Raises:
            BusyError: too many wait already.
        """
        if self._inside >= self._places:
            raise BusyError
        if self._limiter is None:  # It belongs to the event loop that runs the server.
            self._limiter = anyio.CapacityLimiter(self._workers)
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(job, limiter=self._limiter)
        finally:
            self._inside -= 1

    def judge(self, data: bytes, name: str = "picture", *, watch: Callable[[str], None] | None = None) -> Judged:
        """Judge one picture, to be called inside `run`; without a face, also lying on its side or upside down.

        It is decoded once and, as it lies, searched for faces once, whatever the page shows of it.

        Args:
            watch: called with each step that begins, as in `explain`; what it raises ends the work.

        Raises:
            ImageError: the bytes are no picture. NotReadyError.
        """
        first = self._explained(data, watch)
        if first.picture is None:
            raise ImageError(str(first.prediction.error))
        found, pixels, turned = self._turned(first, first.picture)
        timing = replace(found.prediction.timing_ms, decode=first.prediction.timing_ms.decode)
        prediction = replace(found.prediction, source=name, timing_ms=timing, provenance=first.prediction.provenance)
        return Judged(pixels, prediction, turned, found.faces)

    def judge_clip(
        self,
        data: bytes,
        max_fpr: float | None = None,
        *,
        shots: int = 0,
        watch: Callable[[float, float], None] | None = None,
    ) -> JudgedClip:
        """Judge one clip within `CLIPS`, to be called inside `run`.

        Args:
            shots, watch: as in `facecheck.video.judging.judge_clip`.

        Raises:
            ImageError: no frame of it can be read. ModelError: `max_fpr` is not stored with the model. NotReadyError.
        """
        checker = self.checker.with_settings(max_fpr=max_fpr)
        return judge_clip(data, checker, CLIPS, name="clip", shots=shots, watch=watch)

    def predict(self, files: Sequence[bytes], max_fpr: float | None = None) -> list[Prediction]:
        """Judge several pictures and at most one clip, to be called inside `run`.

        Returns:
            One prediction for each file, in order; one that cannot be judged has its `error` set.

        Raises:
            ModelError: `max_fpr` is not stored with the model. NotReadyError.
        """
        clips = [data for data in files if is_clip(data)]
        pictures = iter(self.checker.predict([data for data in files if not is_clip(data)], max_fpr=max_fpr))
        answers = iter([self._clip(data, max_fpr) for data in clips[:1]] + [ANOTHER_CLIP] * len(clips[1:]))
        return [next(answers) if is_clip(data) else next(pictures) for data in files]

    def _clip(self, data: bytes, max_fpr: float | None) -> Prediction:
        try:
            return self.judge_clip(data, max_fpr).prediction
        except ImageError as error:
            return Prediction("clip", error=str(error))

    def _turned(self, found: Explanation, pixels: Pixels) -> tuple[Explanation, Pixels, int]:
        """The answer on the picture as it lies, or turned as it has a face."""
        if found.prediction.verdict == Verdict.NO_FACE:
            for turned in (1, 3, 2):
                other = np.ascontiguousarray(np.rot90(pixels, turned))
                answer = self._explained(other)
                if any(_is_sure(face) for face in answer.prediction.faces):
                    return answer, other, turned
        return found, pixels, 0

    def _explained(self, source: bytes | Pixels, watch: Callable[[str], None] | None = None) -> Explanation:
        """The answer with the faces as the model saw them; heat maps come when they are asked for."""
        return explain(source, methods=(), checker=self.checker, watch=watch)

    def _load(self) -> None:
        try:
            checker = self._make_checker()
            checker.predict(np.zeros((64, 64, 3), np.uint8))  # The first call is slow; no visitor should wait for it.
            self._checker = checker
        except Exception as error:  # Whatever it is, the page must say that there is no model.
            self._problem = str(error)
        self._done.set()


def _is_sure(face: Face) -> bool:
    """Of a face that was found only after turning the picture: a wall may look like a face on its side."""
    return face.confidence > TURNED_CONFIDENCE and face.size_px > TURNED_FACE_PX
