"""What happens to a visitor's pictures: from their tickets to what is read, to heat maps, and to the report."""

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image

from demo import texts
from demo.page import panels, results, timeline
from demo.server.service import BusyError, NotReadyError, Service
from demo.server.uploads import Upload, Uploads
from demo.settings import Settings
from facecheck import image
from facecheck.checker import FaceChecker
from facecheck.decoding import Pixels
from facecheck.errors import FacecheckError, ImageError, ModelError
from facecheck.explain import wording
from facecheck.explain.clips import clip_report
from facecheck.explain.explanation import with_heat_maps
from facecheck.explain.heatmaps import GRAD_CAM
from facecheck.explain.report import Explanation
from facecheck.files import sha256_of
from facecheck.result import Prediction
from facecheck.video import is_clip

log = logging.getLogger(__name__)
Message = tuple[str, str]
Result = TypeVar("Result")
UNSENT = {
    "!nothing": texts.NOTHING_CHOSEN, "!unsent": texts.UNSENT, "!busy": texts.BUSY, "!too_many": texts.TOO_MANY
}  # fmt: skip
ENGLISH, MOST_PICTURES, SHOTS = "en", 20, 7
# A visitor who waits sees the next step so soon, and one who goes on to another picture ends the work so soon.
LOOK_S = 0.2


class StoppedError(Exception):
    """The visitor does not wait any more."""


@dataclass
class Work:
    """How far a picture or a clip is; asking for it is where a thread learns that nobody waits any more.

    Attributes:
        step: of `texts.STEPS`. seen_s, length_s: of a clip; 0 before it is known.
    """

    step: str = ""
    seen_s: float = 0.0
    length_s: float = 0.0
    began: float = field(default_factory=time.monotonic)
    is_stopped: bool = False

    def at(self, step: str) -> None:
        """Note the step that begins.

        Raises:
            StoppedError: nobody waits.
        """
        if self.is_stopped:
            raise StoppedError
        self.step = step

    def seen(self, seen_s: float, length_s: float) -> None:
        """Note how far a clip was looked at.

        Raises:
            StoppedError: nobody waits.
        """
        self.at("classify")
        self.seen_s, self.length_s = seen_s, length_s

    @property
    def left_s(self) -> float | None:
        """Seconds that a clip may still take, at the pace so far; None where that is not known."""
        if not 0 < self.seen_s < self.length_s:
            return None
        return (time.monotonic() - self.began) * (self.length_s - self.seen_s) / self.seen_s


class CheckHandlers:
    """Judges by ticket; every failure becomes a sentence."""

    def __init__(self, service: Service, uploads: Uploads, settings: Settings) -> None:
        self.service, self.uploads, self.settings = service, uploads, settings

    async def check(self, tickets: str, language: str = ENGLISH) -> AsyncIterator[tuple[str, bool]]:
        """HTML for a ticket, and whether it is a verdict that can be objected to; on the way what is being done.

        Args:
            tickets: several, with spaces between them, get a table; two stand side by side.
        """
        several_of_them = tickets.split() if not tickets.startswith("!") else []
        answers = self._several(several_of_them, language) if len(several_of_them) > 1 else self._one(tickets, language)
        async for html, judged in answers:
            # The page shows an answer only as long as it is about the picture that is chosen.
            yield f'<div class="rc-for" data-tickets="{escape(tickets)}">{html}</div>', judged

    async def _one(self, ticket: str, language: str) -> AsyncIterator[tuple[str, bool]]:
        if ticket.startswith("!"):
            yield in_language(language, lambda: panels.message(*self._unsent(ticket))), False
            return
        upload = self.uploads.get(ticket)
        if upload is None:
            # The page reads the mark, and sends the picture again when the button is pressed again.
            gone = in_language(language, lambda: panels.message(*texts.GONE))
            yield f'<div data-gone="{escape(ticket)}">{gone}</div>', False
            return
        if self.service.state == "loading":
            yield in_language(language, lambda: panels.message(*texts.LOADING, kind="loading")), False
        try:
            async for done, html in self._steps(ticket, upload, language, self._draw):
                yield html, done and upload.prediction is not None
        except Exception as error:
            message, kind = said(error)
            yield in_language(language, lambda: panels.message(*message, kind=kind)), False

    async def _several(self, tickets: list[str], language: str) -> AsyncIterator[tuple[str, bool]]:
        if len(tickets) > MOST_PICTURES:
            yield in_language(language, lambda: panels.message(*texts.TOO_MANY)), False
            return
        rows: list[results.Row] = []
        for ticket in tickets:
            yield in_language(language, partial(results.table, tuple(rows), len(tickets))), False
            try:
                upload = self.uploads.get(ticket)
                if upload is None:
                    raise StoppedError
                async for done, step in self._steps(ticket, upload, language, self._row):
                    rows += [step] if done and isinstance(step, results.Row) else []
            except Exception as error:
                words: list[str] = in_language(language, partial(list, map(wording.say, said(error)[0])))
                rows.append(results.Row(replace(EMPTY, error=" ".join(words))))
        yield in_language(language, lambda: results.side_by_side(rows)), False

    async def _steps(
        self, ticket: str, upload: Upload, language: str, draw: Callable[[Upload, Work], Result]
    ) -> AsyncIterator[tuple[bool, str | Result]]:
        """False with what is being done, as often as that changes, and at last True with what `draw` made."""
        work, shown = Work(), ""
        drawn = self.service.run(lambda: in_language(language, lambda: draw(upload, work)), upload.client)
        job = asyncio.ensure_future(drawn)
        job.add_done_callback(lambda done: done.cancelled() or done.exception())  # Also where nobody waits for it.
        try:
            while not (await asyncio.wait({job}, timeout=LOOK_S))[0]:
                work.is_stopped = self.uploads.get(ticket) is None
                now = in_language(language, lambda: panels.progress(work.step, work.seen_s, work.length_s, work.left_s))
                if work.step and now != shown:
                    shown = now
                    yield False, now
        finally:
            work.is_stopped = not job.done()
        self.service.charge(upload.client, upload.prediction.size if upload.prediction else None)
        yield True, job.result()

    def _draw(self, upload: Upload, work: Work) -> str:
        return self._row(upload, work).answer

    def _row(self, upload: Upload, work: Work) -> results.Row:
        checker = self.service.checker
        if is_clip(upload.data):
            clip = self.service.judge_clip(upload.data, shots=SHOTS, watch=work.seen)
            upload.clip = clip
            first = results.data_url(Image.fromarray(clip.thumbnails[0])) if clip.thumbnails else ""
            return results.Row(clip.prediction, first, timeline.answer(clip, checker.decision))
        judged = self.service.judge(upload.data, watch=work.at)
        upload.prediction, upload.faces = judged.prediction, judged.faces
        upload.preview = results.jpeg(results.reduced(judged.pixels, results.PREVIEW_SIDE))
        thumbnail = results.data_url(results.reduced(judged.pixels, results.CARD_SIDE))
        return results.Row(
            judged.prediction, thumbnail, results.answer(judged, checker.decision, checker.config.limits)
        )

    def _unsent(self, code: str) -> Message:
        return texts.too_large(self.settings.max_mb) if code == "!too_large" else UNSENT.get(code, texts.UNSENT)

    async def check_picture(self, picture: str) -> dict[str, Any]:
        """Judge one picture: is a face in it a photograph, or was it generated?

        Args:
            picture: a data: URL with base64, up to 2 MB; larger ones go to POST /api/v1/predict.

        Returns:
            facecheck's Prediction as JSON. "real" means: no sign of generation found.
        """
        try:
            data = base64.b64decode(picture.partition(",")[2], validate=True)
            judged = await self.service.run(lambda: self.service.judge(data))
        except binascii.Error:
            return replace(EMPTY, error="not a data: URL with base64").to_dict()
        except BusyError:
            return replace(EMPTY, error=" ".join(texts.BUSY)).to_dict()
        except (FacecheckError, NotReadyError) as error:
            return replace(EMPTY, error=str(error)).to_dict()
        return judged.prediction.to_dict()


EMPTY = Prediction("picture")


def in_language(language: str, make: Callable[[], Result]) -> Result:
    """What `make` returns, with its sentences in a language; English where there is no table of it."""
    with wording.speaking(texts.languages().get(language)):
        return make()


def said(error: Exception) -> tuple[Message, str]:
    """What a visitor reads where there is no verdict, and which kind of message that is."""
    match error:
        case BusyError():
            return texts.BUSY, "busy"
        case StoppedError():
            return texts.GONE, "notice"
        case ImageError():
            return texts.unreadable(error), "unreadable"
        case NotReadyError():
            return texts.BROKEN, "error"
    log.error("a picture could not be judged", exc_info=error)
    return texts.BROKEN, "error"


def heat_map(upload: Upload, number: int, checker: FaceChecker) -> Pixels:
    """Where the model looked: Grad-CAM over the face, (S, S, 3) uint8 RGB.

    Args:
        number: of the face on the page, from 1 on.

    Raises:
        IndexError: there is no such face, or it is none of the `MOST_FACES` largest.
        ModelError: the model allows no heat map.
    """
    if upload.prediction is None or not 1 <= number <= len(upload.faces):
        raise IndexError(number)
    one = Explanation(upload.prediction, faces=upload.faces[number - 1 : number])
    (face,) = with_heat_maps(one, checker).faces
    return face.heat_maps[0].on(face.pixels)


def report(upload: Upload, checker: FaceChecker) -> str:
    """The case report on a judged picture or clip, as `facecheck explain` writes it, from what is kept of it.

    Raises:
        IndexError: it was not judged.
    """
    judged = upload.clip.prediction if upload.clip is not None else upload.prediction
    if judged is None:
        raise IndexError
    found = Explanation(
        judged, None, upload.faces, checker.config, checker.decision.threshold,
        sha256_of(upload.data), len(upload.data),
    )  # fmt: skip
    if upload.clip is not None:
        return clip_report(upload.clip, found)
    found = replace(found, picture=image.load(upload.preview))
    return with_heat_maps(found, checker).to_html()


def add_evidence(app: FastAPI, uploads: Uploads, service: Service) -> None:
    """Add the routes that the page asks for a heat map and for the report; the body is the picture's ticket."""

    async def made(request: Request, make: Callable[[Upload], Result], missing: str) -> Result:
        upload = uploads.get((await request.body()).decode("ascii", "replace"))
        if upload is None:
            raise HTTPException(404, " ".join(texts.GONE))
        try:
            return await service.run(
                lambda: in_language(request.query_params.get("language", ENGLISH), lambda: make(upload))
            )
        except (IndexError, ModelError, NotReadyError) as error:
            raise HTTPException(422, missing) from error
        except BusyError as error:
            raise HTTPException(503, " ".join(texts.BUSY)) from error

    @app.post("/pictures/heat/{number}", include_in_schema=False)
    async def heat(number: int, request: Request) -> dict[str, str]:
        def drawn(upload: Upload) -> dict[str, str]:
            shown = heat_map(upload, number, service.checker)
            means = f"{wording.say(wording.HEAT_MAPS[GRAD_CAM])} {wording.say(wording.HEAT_MAP_CAUTION)}"
            return {"picture": results.data_url(Image.fromarray(shown)), "means": means}

        return await made(request, drawn, texts.NO_HEAT)

    @app.post("/pictures/report", include_in_schema=False)
    async def case_report(request: Request) -> Response:
        html = await made(request, lambda upload: report(upload, service.checker), texts.NO_REPORT)
        return Response(html, media_type="text/html; charset=utf-8")
