"""The visitors' pictures, in memory only, each under a ticket that nobody can guess.

Nothing is written to the disk. A picture goes when its visitor leaves, when its time is over, or when newer ones need
the room.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from demo.server.middleware import address_of
from facecheck.explain.report import FaceEvidence
from facecheck.result import Prediction


@dataclass
class Upload:
    """One upload.

    Attributes:
        client: the address that sent it.
        prediction: the answer, once there is one; an objection is stored with it.
        faces: the largest, as the model saw them: a heat map needs no second look at the file.
        preview: JPEG of the picture, reduced, as the page shows it and the report does.
    """

    data: bytes
    until: float
    client: str = ""
    prediction: Prediction | None = None
    faces: tuple[FaceEvidence, ...] = ()
    preview: bytes = b""

    @property
    def size_bytes(self) -> int:
        """In memory."""
        return len(self.data) + len(self.preview) + sum(face.pixels.nbytes for face in self.faces)


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
