"""The heat map of one face of a judged picture, made when a visitor asks for it."""

import numpy as np

from demo.page.results import CARD_SIDE
from demo.server.service import upright
from demo.server.uploads import Kept
from facecheck import crop
from facecheck.checker import FaceChecker
from facecheck.explain.heatmaps import GRAD_CAM, heat_maps, region
from facecheck.image import Pixels


def heat_map(kept: Kept, number: int, checker: FaceChecker) -> Pixels:
    """Where the model looked: Grad-CAM over the face, (S, S, 3) uint8 RGB.

    Args:
        number: of the face on the page, from 1 on.

    Raises:
        IndexError: there is no such face. ModelError: the model allows no Grad-CAM.
    """
    faces = kept.prediction.faces if kept.prediction else ()
    if not 1 <= number <= len(faces):
        raise IndexError(number)
    face, picture, config = faces[number - 1], upright(kept.data, kept.turned), checker.config
    seen = crop.face(picture, face.box, config.input_size, config.crop_margin)
    looks_fake = face.p_fake >= checker.decision.threshold
    place = region(picture, face.box, config.crop_margin)
    (heat,) = heat_maps(checker.backend, np.stack([seen]), [place], [looks_fake], GRAD_CAM)
    return heat.on(crop.face(picture, face.box, CARD_SIDE, config.crop_margin))
