"""The heat map of one face of a judged picture, made when a visitor asks for it."""

from fastapi import FastAPI, HTTPException, Request
from PIL import Image

from demo import texts
from demo.page.results import data_url
from demo.server.service import BusyError, NotReadyError, Service
from demo.server.uploads import Upload, Uploads
from facecheck import crop
from facecheck.checker import FaceChecker
from facecheck.errors import ModelError
from facecheck.explain import wording
from facecheck.explain.heatmaps import GRAD_CAM, heat_maps
from facecheck.image import Pixels

MEANS = f"{wording.HEAT_MAPS[GRAD_CAM]} {wording.HEAT_MAP_CAUTION}"


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
            "picture": data_url(Image.fromarray(shown)),
            "means": f"{wording.HEAT_MAPS[GRAD_CAM]} {wording.HEAT_MAP_CAUTION}",
        }
