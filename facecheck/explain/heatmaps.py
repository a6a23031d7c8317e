"""Heat maps: which places of a face speak for the answer, by Grad-CAM and by occlusion."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facecheck.crop import Square
from facecheck.engines.classifier import Classifier

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GRAD_CAM, OCCLUSION = "grad-cam", "occlusion"
GRID, WINDOW = 8, 0.25
OPACITY = 0.6


@dataclass(frozen=True)
class HeatMap:
    """How strongly each place of one face speaks for the answer.

    Attributes:
        method: "grad-cam" or "occlusion".
        speaks_for: "fake" or "real": the side of the threshold on which the face's score lies.
        values: (S, S) float32 in [0, 1] over the classifier's input; 1 = the strongest place, all 0 = none at all.
        region: xyxy, pixels of the picture: the square that the input was cut from.
    """

    method: str
    speaks_for: str
    values: Floats
    region: Square

    def on(self, pixels: Pixels) -> Pixels:
        """The map over the face itself.

        Args:
            pixels: (H, W, 3) uint8 RGB, the face as it was cut, at any size.

        Returns:
            The same in grey with the map in colour (dark = cold, bright = hot), uint8 RGB.
        """
        height, width = pixels.shape[:2]
        heat = np.clip(cv2.resize(self.values, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
        colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
        return (grey * (1 - OPACITY) + colours * OPACITY).astype(np.uint8)

    def over(self, picture: Pixels) -> Pixels:
        """A copy of the whole picture, (H, W, 3) uint8 RGB, with the map where the face is."""
        x0, y0, x1, y1 = (round(value) for value in self.region)
        shown = picture.copy()
        if x1 > x0 and y1 > y0:
            shown[y0:y1, x0:x1] = self.on(np.ascontiguousarray(picture[y0:y1, x0:x1]))
        return shown


def grad_cam(classifier: Classifier, faces: Pixels, towards_fake: npt.ArrayLike) -> Floats:
    """Grad-CAM at the last stage before the head (Selvaraju et al. 2017).

    Args:
        faces: (N, S, S, 3) uint8 RGB, as `facecheck.crop.face` cuts them.
        towards_fake: (N,) bool; which answer the map shall speak for.

    Returns:
        (N, S, S) float32, each map scaled to [0, 1].

    Raises:
        NoFeatureMapError: the network has no such stage with a map of features, as vision transformers have none.
    """
    sign = np.where(np.asarray(towards_fake), 1.0, -1.0)
    features, gradients = classifier.last_features(faces)
    weights = (gradients * sign[:, None, None, None]).mean(axis=(2, 3), keepdims=True)
    maps = np.maximum((weights * features).sum(axis=1), 0)
    side = faces.shape[1]
    return _scaled(
        np.stack([cv2.resize(m.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC) for m in maps])
    )


def occlusion(classifier: Classifier, faces: Pixels, towards_fake: npt.ArrayLike) -> Floats:
    """How much the score falls when a window of the face is blurred away (Zeiler and Fergus 2014).

    A window of a quarter of the side moves over a grid of `GRID` x `GRID` places; each pixel gets the mean fall of the
    windows that cover it. Blur in place of a grey square keeps new edges out. Arguments and result: see `grad_cam`.
    """
    side = faces.shape[1]
    windows = _windows(side)
    covered = np.sum(windows, axis=0)
    maps = []
    for face, sign in zip(faces, np.where(np.asarray(towards_fake), 1.0, -1.0), strict=True):
        hidden = cv2.GaussianBlur(face, (0, 0), side / 8).astype(np.uint8)
        copies = np.where(windows[..., None], hidden, face)
        scores = classifier.exact_logits(
            np.concatenate([face[None], copies])
        )  # Most falls are smaller than int8's errors.
        falls = np.maximum(sign * (scores[0] - scores[1:]), 0)
        maps.append(np.tensordot(falls, windows, axes=1) / np.maximum(covered, 1))
    return _scaled(np.stack(maps).astype(np.float32))


METHODS = {GRAD_CAM: grad_cam, OCCLUSION: occlusion}


def heat_maps(
    classifier: Classifier, faces: Pixels, regions: Sequence[Square], towards_fake: Sequence[bool], method: str
) -> list[HeatMap]:
    """The maps of several faces by one of `METHODS`; see `grad_cam` for the arguments."""
    if not len(faces):
        return []
    found = METHODS[method](classifier, faces, towards_fake)
    sides = ["fake" if fake else "real" for fake in towards_fake]
    return [HeatMap(method, side, values, region) for side, values, region in zip(sides, found, regions, strict=True)]


def _windows(side: int) -> npt.NDArray[np.bool_]:
    """(GRID * GRID, side, side): True where a window lies."""
    size = max(round(side * WINDOW), 1)
    starts = np.linspace(0, side - size, GRID).round().astype(int)
    masks = np.zeros((GRID * GRID, side, side), dtype=np.bool_)
    for index, (top, left) in enumerate((y, x) for y in starts for x in starts):
        masks[index, top : top + size, left : left + size] = True
    return masks


def _scaled(maps: Floats) -> Floats:
    highest = maps.reshape(len(maps), -1).max(axis=1)[:, None, None]
    scaled = np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0)
    return np.asarray(np.clip(scaled, 0, 1), dtype=np.float32)
