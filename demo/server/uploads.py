"""What browsers send: pictures, each under a ticket that nobody can guess, and the frames of live cameras.

All of it stays in memory. A picture goes when its visitor leaves, when its time is over, or when newer ones need the
room. A page sends a frame, waits for the answer, and sends the newest frame then: there is never more than one of a
camera under way; what the processor cannot keep up with is dropped in the browser, and the picture never lags.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response

from demo import texts
from demo.server.middleware import address_of
from demo.server.service import BusyError, NotReadyError, Service
from facecheck import calibration, image
from facecheck.checker import FaceChecker
from facecheck.decoding import Pixels
from facecheck.detection.detector import Detections, FaceDetector
from facecheck.errors import ImageError
from facecheck.explain import wording
from facecheck.explain.report import FaceEvidence
from facecheck.result import Prediction, Verdict
from facecheck.video.judging import JudgedClip
from facecheck.video.tracker import Tracker
from facecheck.video.tracks import Track

FRAME_BYTES, FRAME_PIXELS, FACES = 2 << 20, 1920 * 1088, 4
# People before a camera are near; looking for small faces would take most of the time.
MIN_FACE_PX = 48
CAMERAS, SILENT_S, FRAMES_KEPT = 64, 30.0, 30
# The live score follows new frames, but one bad frame does not turn it over.
NEW_SHARE = 0.3
NAME = re.compile(r"[\w-]{16,64}")


@dataclass
class Upload:
    """One upload.

    Attributes:
        client: the address that sent it.
        prediction: the answer, once there is one; an objection is stored with it.
        faces: the largest, as the model saw them: a heat map needs no second look at the file.
        preview: JPEG of the picture, reduced, as the page shows it and the report does.
        clip: what was seen in a clip, with a few small pictures of each person.
    """

    data: bytes
    until: float
    client: str = ""
    prediction: Prediction | None = None
    faces: tuple[FaceEvidence, ...] = ()
    preview: bytes = b""
    clip: JudgedClip | None = None

    @property
    def size_bytes(self) -> int:
        """In memory."""
        cut = [face.pixels for face in self.faces]
        if self.clip is not None:
            cut += [*self.clip.thumbnails, *(shot.pixels for strip in self.clip.strips for shot in strip)]
        return len(self.data) + len(self.preview) + sum(pixels.nbytes for pixels in cut)


class Uploads:
    """A store of uploads that is bounded in bytes and in time; safe to use from several threads.

    Args:
        max_bytes: of all uploads together, and of what was cut from them; the oldest go first.
        seconds: how long one is kept.
        clock: monotonic seconds; tests set it.
    """

    def __init__(self, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._seconds, self._clock = max_bytes, seconds, clock
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, data: bytes, client: str = "") -> str:
        """Keep an upload and return its ticket: 192 random bits."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[ticket] = Upload(data, self._clock() + self._seconds, client)
            self._make_room()
        return ticket

    def get(self, ticket: str) -> Upload | None:
        """The upload of a ticket; None if there never was one or it is gone."""
        with self._lock:
            self._make_room()
            return self._kept.get(ticket)

    def drop(self, ticket: str) -> None:
        """Forget an upload at once."""
        with self._lock:
            self._kept.pop(ticket, None)

    def sweep(self) -> None:
        """Forget what is over; a server calls it now and then, because a quiet one gets no requests that would."""
        with self._lock:
            self._make_room()

    def __len__(self) -> int:
        return len(self._kept)

    def _make_room(self) -> None:
        now, size = self._clock(), sum(kept.size_bytes for kept in self._kept.values())
        for ticket, kept in list(self._kept.items()):
            if kept.until > now and size <= self._max_bytes:
                break
            size -= kept.size_bytes
            del self._kept[ticket]


def add_uploads(app: FastAPI, uploads: Uploads) -> None:
    """Where the page puts the visitor's picture, and takes it away again. The body is the file itself, unnamed."""

    @app.post("/pictures", include_in_schema=False)
    async def put(request: Request) -> dict[str, str]:
        return {"ticket": uploads.put(await request.body(), address_of(request.scope))}

    @app.post("/pictures/forget", include_in_schema=False)
    async def forget(request: Request) -> Response:
        uploads.drop((await request.body()).decode("ascii", "replace"))
        return Response(status_code=204)


class Cameras:
    """One tracker for each camera, forgotten after half a minute of silence."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._trackers: OrderedDict[str, tuple[Tracker, float]] = OrderedDict()
        self._detector: FaceDetector | None = None

    def judge(
        self, name: str, data: bytes, checker: FaceChecker, load: Callable[[bytes], Pixels] = image.load
    ) -> dict[str, Any]:
        """Judge one frame.

        Raises:
            ImageError: not a picture, or a larger one than a camera's.
        """
        started = time.perf_counter()
        pixels = load(data)
        if pixels.shape[0] * pixels.shape[1] > FRAME_PIXELS:
            raise ImageError("frame: larger than a camera's; send at most 1920x1088 pixels")
        (found,) = self._detect(checker, pixels)
        nearest = found[:FACES]
        (faces,) = checker.judge([pixels], [nearest])
        with self._lock:
            tracks = self._tracker(name).update(self._clock(), faces, pixels)
            scores = [smoothed(track) for track in tracks]
        verdicts = [
            Verdict.UNCERTAIN if score is None else calibration.verdict(score, checker.decision) for score in scores
        ]
        return {
            "size": [pixels.shape[1], pixels.shape[0]],
            "ms": (time.perf_counter() - started) * 1000,
            "faces": [
                {"number": track.number, "box": face.box, "p_fake": score, "verdict": str(verdict),
                 "meaning": wording.HEADLINES[verdict], "score": "" if score is None else wording.points(score)}
                for track, face, score, verdict in zip(tracks, faces, scores, verdicts, strict=True)
            ],
        }  # fmt: skip

    def _detect(self, checker: FaceChecker, pixels: Pixels) -> list[Detections]:
        with self._lock:
            if self._detector is None:
                self._detector = FaceDetector(min_face_px=MIN_FACE_PX, networks=checker.detector.networks)
        return self._detector.detect([np.ascontiguousarray(pixels)])

    def _tracker(self, name: str) -> Tracker:
        now = self._clock()
        tracker, _ = self._trackers.pop(name, (Tracker(keep=FRAMES_KEPT), now))
        self._trackers[name] = (tracker, now)
        for known, (_, seen) in list(self._trackers.items()):
            if now - seen <= SILENT_S and len(self._trackers) <= CAMERAS:
                break
            del self._trackers[known]
        return tracker


def smoothed(track: Track) -> float | None:
    """p_fake, smoothed exponentially over the frames that could be judged; None before the first."""
    score = None
    for observation in track.judged:
        score = observation.p_fake if score is None else (1 - NEW_SHARE) * score + NEW_SHARE * observation.p_fake
    return score


def add_camera(app: FastAPI, service: Service) -> None:
    """Add the route that the page's camera sends its frames to."""
    cameras = Cameras()

    @app.post("/live/{name}", include_in_schema=False)
    async def live(name: str, request: Request) -> dict[str, Any]:
        data = await request.body()
        if not NAME.fullmatch(name) or len(data) > FRAME_BYTES:
            raise HTTPException(400, "Not a frame of a camera.")
        try:
            return await service.run(
                lambda: cameras.judge(name, data, service.checker, service.pixels), address_of(request.scope)
            )
        except (BusyError, NotReadyError) as error:
            raise HTTPException(503, " ".join(texts.BUSY)) from error
        except ImageError as error:
            raise HTTPException(422, " ".join(texts.unreadable(error))) from error
