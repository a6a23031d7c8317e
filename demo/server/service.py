"""One checker for all visitors: loaded in the background, with bounded numbers of pictures at work and waiting."""

import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import anyio
import numpy as np

from demo.server.access import RateLimit
from facecheck import batching
from facecheck.batching import Decoded
from facecheck.checker import FaceChecker
from facecheck.decoding import Pixels
from facecheck.errors import ImageError
from facecheck.explain.explanation import explain_decoded
from facecheck.explain.report import FaceEvidence
from facecheck.image import describe
from facecheck.result import Prediction
from facecheck.video import is_clip
from facecheck.video.frames import ClipLimits
from facecheck.video.judging import JudgedClip, judge_clip

Result = TypeVar("Result")

LOADING_LIMIT_S = 120.0
CLIPS = ClipLimits(max_pixels=4096 * 2304, max_samples=60, max_frames=36_000, max_work_s=45, max_people=24)
"""Sixty moments of the whole film, so that nobody waits long for somebody else's clip."""
CLIENT_SHARE = 0.75
"""Of the places, for one client."""


class BusyError(Exception):
    """Too many pictures are waiting already."""


class NotReadyError(Exception):
    """The model is not loaded yet, or cannot be."""


class Turn(Protocol):
    """Runs a job in a thread when it is its turn."""

    async def __call__(self, job: Callable[[], Result]) -> Result:
        """The job's result, or what it raises."""
        ...


def _in_this_process(data: bytes, name: str) -> Decoded:
    return batching.decode(data, name=name)


@dataclass(frozen=True)
class Judged:
    """A picture and its answer.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, as the answer's boxes count them.
        faces: the largest, as the model saw them.
    """

    pixels: Pixels
    prediction: Prediction
    faces: tuple[FaceEvidence, ...] = ()


class Service:
    """Judges pictures for everybody.

    One client's jobs never take all workers, where there are several, nor all places.

    Args:
        make_checker: called once, in a thread of its own.
        workers: jobs at the same time. waiting: further jobs that may wait; the next one raises `BusyError`.
        decode: makes pixels of a file, by its bytes and its name; see `demo.server.decoders.Decoders`.
        megapixels: a minute for one client, after which it is `BusyError`; 0: no limit.
    """

    def __init__(
        self,
        make_checker: Callable[[], FaceChecker],
        workers: int,
        waiting: int,
        *,
        decode: Callable[[bytes, str], Decoded] = _in_this_process,
        megapixels: int = 0,
    ) -> None:
        self._make_checker, self._workers, self._places = make_checker, workers, workers + waiting
        self._decode, self._pixels = decode, RateLimit(megapixels)
        self._inside: Counter[str] = Counter()
        self._turns: dict[str, anyio.Semaphore] = {}
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
        return max(self._inside.total() - self._workers, 0)

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

    async def run(self, job: Callable[[], Result], client: str = "") -> Result:
        """Run a job in a thread when it is its turn.

        Args:
            client: for whom; empty: for nobody in particular.

        Raises:
            BusyError: too many wait already, or this client has had its share.
        """
        async with self.place(client) as turn:
            return await turn(job)

    @asynccontextmanager
    async def place(self, client: str = "") -> AsyncIterator[Turn]:
        """A place for several jobs of one client, each of which waits for its turn; see `run`."""
        if self._inside.total() >= self._places or (client and self._has_its_share(client)):
            raise BusyError
        if self._limiter is None:  # It belongs to the event loop that runs the server.
            self._limiter = anyio.CapacityLimiter(self._workers)
        limiter = self._limiter
        mine = self._turns.setdefault(client, anyio.Semaphore(max(self._workers - 1, 1)))

        async def turn(job: Callable[[], Result]) -> Result:
            async with mine if client else nullcontext():
                return await anyio.to_thread.run_sync(job, limiter=limiter)

        self._inside[client] += 1
        try:
            yield turn
        finally:
            self._inside[client] -= 1
            if not self._inside[client]:
                del self._inside[client], self._turns[client]

    def charge(self, client: str, size: tuple[int, int] | None) -> None:
        """Count a picture of this width and height that was decoded for a client."""
        if size is not None:
            self._pixels.charge(client, size[0] * size[1] / 1e6)

    def _has_its_share(self, client: str) -> bool:
        return self._inside[client] >= CLIENT_SHARE * self._places or self._pixels.left(client) <= 0

    def judge(self, data: bytes, name: str = "picture", *, watch: Callable[[str], None] | None = None) -> Judged:
        """Judge one picture, to be called inside `run`. It is decoded once, whatever the page shows of it.

        Args:
            watch: called with each step that begins, as in `explain`; what it raises ends the work.

        Raises:
            ImageError: the bytes are no picture. NotReadyError.
        """
        item, pixels = self._decoded(data, watch)
        found = explain_decoded(item, (), self.checker, watch=watch)
        return Judged(
            pixels if found.picture is None else found.picture, replace(found.prediction, source=name), found.faces
        )

    def pixels(self, data: bytes) -> Pixels:
        """A picture's file as (H, W, 3) uint8 RGB.

        Raises:
            ImageError: the bytes are no picture.
        """
        return self._decoded(data)[1]

    def _decoded(self, data: bytes, watch: Callable[[str], None] | None = None) -> tuple[Decoded, Pixels]:
        if watch is not None:
            watch("decode")
        item = self._decode(data, describe(data))
        if item.pixels is None:
            raise ImageError(str(item.error))
        return item, item.pixels

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

    def predict(self, data: bytes, max_fpr: float | None = None) -> Prediction:
        """Judge a picture or a clip, to be called inside `run`; one that cannot be judged has its `error` set.

        Raises:
            ModelError: `max_fpr` is not stored with the model. NotReadyError.
        """
        checker = self.checker.with_settings(max_fpr=max_fpr)
        if not is_clip(data):
            return checker.judge_batch([self._decode(data, describe(data))])[0]
        try:
            return judge_clip(data, checker, CLIPS, name="clip").prediction
        except ImageError as error:
            return Prediction("clip", error=str(error))

    def _load(self) -> None:
        try:
            checker = self._make_checker()
            checker.predict(np.zeros((64, 64, 3), np.uint8))  # The first call is slow; no visitor should wait for it.
            self._checker = checker
        except Exception as error:  # Whatever it is, the page must say that there is no model.
            self._problem = str(error)
        self._done.set()
