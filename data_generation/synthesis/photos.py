"""Photographs that images are made from: a square around the largest face, and where that face is.

The photograph is kept in the same square and size beside what was made of it, so that a pair differs in nothing but the
generation (Rajan et al. 2025, "Aligned datasets improve detection of latent diffusion-generated images").
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from data_generation import GenerationError
from facecheck import crop, image
from facecheck.detection.detector import FaceDetector
from facecheck.errors import ImageError
from training.faces.layouts import Defaults, Found, LayoutError, recognise
from training.faces.layouts import Photo as LabelledPhoto

Pixels = npt.NDArray[np.uint8]
MARGIN = 1.8
REAL, TREE = "real", "folder"
"""As `training.faces.layouts` calls a photograph, and a folder that the caller gave a label to."""


@dataclass(frozen=True)
class Photo:
    """A photograph as a model gets it.

    Attributes:
        pixels: (S, S, 3) uint8 RGB. mask: (S, S) uint8, 255 where inpainting paints: an ellipse over the face.
    """

    pixels: Pixels
    mask: Pixels


@dataclass(frozen=True)
class Listed:
    """The pictures of a folder, without those that it calls fake.

    Attributes:
        photographs: known as such, or nothing is known of them.
        fakes: how many are left out.
    """

    photographs: tuple[LabelledPhoto, ...]
    fakes: int

    @property
    def paths(self) -> list[Path]:
        """Of the photographs."""
        return [photo.path for photo in self.photographs]

    @property
    def note(self) -> str:
        """For the screen; empty where nothing is left out."""
        return f"{self.fakes} pictures left out: they are called fake" if self.fakes else ""


def listed(folder: Path) -> Listed:
    """All pictures below a folder; where it tells photographs from fakes, it is understood as `training prepare` does.

    Raises:
        GenerationError: there is no photograph, or a table has labels that can be read either way.
    """
    try:
        found = recognise(folder)
    except LayoutError:
        found = _taken_for_photographs(folder)
    photographs = tuple(photo for photo in found.photos if photo.label == REAL)
    if not photographs:
        raise GenerationError(f"{folder} holds no photograph: all of its {len(found.photos)} pictures are called fake")
    return Listed(photographs, len(found.photos) - len(photographs))


def _taken_for_photographs(folder: Path) -> Found:
    """As `recognise`, where the caller says that what has no label is a photograph."""
    try:
        found = recognise(folder, Defaults(label=REAL))
    except LayoutError as error:
        raise GenerationError(str(error)) from error
    if found.layout != TREE:
        raise GenerationError(
            f"{folder}: its table does not say in words which pictures are photographs; name the folder of these alone"
        )
    return found


def prepared(path: Path, side: int, detector: FaceDetector) -> Photo | None:
    """The photograph cut around its largest face and brought to `side` pixels; None without a readable face."""
    try:
        picture = image.load(path)
    except ImageError:
        return None
    faces = detector.detect([picture])[0]
    if not len(faces):
        return None
    height, width = picture.shape[:2]
    x0, y0, x1, _ = crop.square(faces.boxes[0], width, height, MARGIN)
    return Photo(
        crop.face(picture, faces.boxes[0], side, MARGIN),
        _ellipse((faces.boxes[0] - (x0, y0) * 2) * side / (x1 - x0), side),
    )


def _ellipse(box: npt.NDArray[np.float64], side: int) -> Pixels:
    mask = np.zeros((side, side), dtype=np.uint8)
    centre, axes = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    cv2.ellipse(
        mask, tuple(centre.round().astype(int).tolist()), tuple(axes.round().astype(int).tolist()), 0, 0, 360, 255, -1
    )
    return mask
