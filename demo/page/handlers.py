"""What happens to one visitor's picture: from its ticket to the sentence that they read, and to a heat map."""

import base64
import binascii
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from html import escape
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from PIL import Image

from demo import texts
from demo.page import results, timeline
from demo.server.service import BusyError, Judged, NotReadyError, Service
from demo.server.uploads import Upload, Uploads
from demo.settings import Settings
from facecheck import crop
from facecheck.checker import FaceChecker
from facecheck.decoding import Pixels
from facecheck.errors import FacecheckError, ImageError, ModelError
from facecheck.explain import wording
from facecheck.explain.heatmaps import GRAD_CAM, heat_maps
from facecheck.result import Prediction
from facecheck.video.containers import is_clip

log = logging.getLogger(__name__)
Message = tuple[str, str]
UNSENT = {"!nothing": texts.NOTHING_CHOSEN, "!unsent": texts.UNSENT, "!busy": texts.BUSY}


class CheckHandlers:
    """Judges by ticket; every failure becomes a sentence."""

    def __init__(self, service: Service, uploads: Uploads, settings: Settings) -> None:
        self.service, self.uploads, self.settings = service, uploads, settings

    async def check(self, ticket: str) -> AsyncIterator[tuple[str, bool]]:
        """HTML for a ticket, and whether it is a verdict; first a word of patience if the model still loads."""
        if ticket.startswith("!"):
            yield results.message(*self._unsent(ticket)), False
            return
        upload = self.uploads.get(ticket)
        if upload is None:
            # The page reads the mark, and sends the picture again when the button is pressed again.
            yield f'<div data-gone="{escape(ticket)}">{results.message(*texts.GONE)}</div>', False
            return
        if self.service.state == "loading":
            yield results.message(*texts.LOADING, kind="loading"), False
        html, judged = await self._drawn(upload.data)
        if judged is not None:
            upload.prediction, upload.faces = judged.prediction, judged.faces
        yield html, judged is not None

    async def _drawn(self, data: bytes) -> tuple[str, Judged | None]:
        try:
            return await self.service.run(lambda: self._draw(data))
        except BusyError:
            return results.message(*texts.BUSY, kind="busy"), None
        except NotReadyError:
            return results.message(*texts.BROKEN, kind="error"), None
        except ImageError as error:
            return results.message(*texts.unreadable(error), kind="unreadable"), None
        except Exception:
            log.exception("a picture could not be judged")
            return results.message(*texts.BROKEN, kind="error"), None

    def _draw(self, data: bytes) -> tuple[str, Judged | None]:
        if is_clip(data):
            return timeline.answer(self.service.judge_clip(data), self.service.checker.decision), None
        judged = self.service.judge(data)
        return results.answer(judged, self.service.checker.decision), judged

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


def heat_map(upload: Upload, number: int, checker: FaceChecker) -> Pixels:
    """Where the model looked: Grad-CAM over the face, (S, S, 3) uint8 RGB.

    Args:
        number: of the face on the page, from 1 on.

    Raises:
        IndexError: there is no such face, or it is none of the `MOST_FACES` largest.
        ModelError: the model allows no Grad-CAM.
    """
    size = upload.prediction.size if upload.prediction else None
    if size is None or not 1 <= number <= len(upload.faces):
        raise IndexError(number)
    face, pixels = upload.faces[number - 1].face, upload.faces[number - 1].pixels
    region = crop.square(face.box, *size, checker.config.crop_margin)
    looks_fake = face.p_fake >= checker.decision.threshold
    (heat,) = heat_maps(checker.classifier, pixels[None], [region], [looks_fake], GRAD_CAM)
    return heat.on(pixels)


def add_heat_maps(app: FastAPI, uploads: Uploads, service: Service) -> None:
    """Add the route that a card's button asks for its heat map; the body is the picture's ticket."""

    @app.post("/pictures/heat/{number}", include_in_schema=False)
    async def heat(number: int, request: Request) -> dict[str, str]:
        upload = uploads.get((await request.body()).decode("ascii", "replace"))
        if upload is None:
            raise HTTPException(404, " ".join(texts.GONE))
        try:
            shown = await service.run(lambda: heat_map(upload, number, service.checker))
        except (IndexError, ModelError, NotReadyError) as error:
            raise HTTPException(422, texts.NO_HEAT) from error
        except BusyError as error:
            raise HTTPException(503, " ".join(texts.BUSY)) from error
        return {
            "picture": results.data_url(Image.fromarray(shown)),
            "means": f"{wording.HEAT_MAPS[GRAD_CAM]} {wording.HEAT_MAP_CAUTION}",
        }
