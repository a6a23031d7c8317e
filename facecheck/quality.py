"""How much evidence a face offers: size, sharpness, compression, completeness, each measured on the pixels.

What the numbers mean for the error of a model is measured by `python -m training calibrate`; the limits stand in the
model's config. Beyond them a face is answered with `uncertain` and the reason.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facecheck.model.config import Limits

JPEG_BLOCK = 8
LARGEST_WINDOW = 512
FACE_TOO_SMALL, BLURRED, HEAVY_COMPRESSION, PARTIAL = "face_too_small", "blurred", "heavy_compression", "partial"


@dataclass(frozen=True)
class Quality:
    """Measurements of one face.

    Attributes:
        face_px: longer side of the box, pixels of the picture as given.
        sharpness: standard deviation of the Laplacian of the classifier's input, grey levels; falls with blur and with
            enlargement (the variance of the Laplacian: Pech-Pacheco et al. 2000).
        blockiness: mean step across the borders of the 8x8 JPEG grid over the mean step elsewhere, in the face's
            original pixels; 1 = no trace of blocks, grows as the quality falls (after Wang, Sheikh, Bovik 2002). A
            picture that was resized or shifted after compression shows none.
        outside: share of the box that lies outside the picture, in [0, 1].
        turned: how far the nose lies beside the middle of the eyes and the mouth, over the distance of the eyes: 0 =
            frontal, 0.5 = about 40 degrees to a side. 0 also where there are no landmarks.
    """

    face_px: float
    sharpness: float
    blockiness: float
    outside: float
    turned: float = 0.0

    def reasons(self, limits: Limits) -> tuple[str, ...]:
        """Why this face should not be judged; empty if it may be."""
        failed = {
            FACE_TOO_SMALL: self.face_px < limits.min_face_px,
            BLURRED: self.sharpness < limits.min_sharpness,
            HEAVY_COMPRESSION: self.blockiness > limits.max_blockiness,
            PARTIAL: self.outside > limits.max_outside,
        }
        return tuple(reason for reason, is_so in failed.items() if is_so)


def measure(
    image: npt.NDArray[np.uint8],
    box: npt.ArrayLike,
    face: npt.NDArray[np.uint8],
    landmarks: npt.ArrayLike | None = None,
) -> Quality:
    """Measure one face.

    Args:
        image: (H, W, 3) uint8 RGB, the whole picture.
        box: (4,) xyxy, pixels.
        face: (S, S, 3) uint8 RGB, the same face as `facecheck.crop.face` cut it.
        landmarks: (5, 2) xy, pixels, as in `facecheck.detection.detector.Detections`.
    """
    x0, y0, x1, y1 = (float(edge) for edge in np.asarray(box, dtype=np.float64))
    height, width = image.shape[:2]
    inside = (min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height))
    area, seen = max((x1 - x0) * (y1 - y0), 1.0), (inside[2] - inside[0]) * (inside[3] - inside[1])
    return Quality(
        face_px=max(x1 - x0, y1 - y0),
        sharpness=float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std()),
        blockiness=_blockiness(image, inside),
        outside=min(max(1 - seen / area, 0.0), 1.0),
        turned=0.0 if landmarks is None else _turned(np.asarray(landmarks, dtype=np.float64)),
    )


def _turned(points: npt.NDArray[np.float64]) -> float:
    """From eyes, nose and mouth corners; a tilt of the head does not count."""
    left, right, nose, *mouth = (complex(x, y) for x, y in points.tolist())
    across = right - left
    width = abs(across)
    if width < 1:
        return 0.0
    beside = nose - ((left + right) / 2 + (mouth[0] + mouth[1]) / 2) / 2
    return abs((beside * across.conjugate()).real) / width**2


def _blockiness(image: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> float:
    (x0, x1), (y0, y1) = _window(box[0], box[2]), _window(box[1], box[3])
    region = np.ascontiguousarray(image[y0:y1, x0:x1])
    if min(region.shape[:2]) < 3 * JPEG_BLOCK:
        return 1.0
    grey = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    across, down = cv2.absdiff(grey[:, 1:], grey[:, :-1]), cv2.absdiff(grey[1:], grey[:-1])
    return max((_border_step(across.mean(axis=0)) + _border_step(down.mean(axis=1))) / 2, 1.0)


def _window(start: float, end: float) -> tuple[int, int]:
    """The middle of a side of the box; it starts on the grid, which begins at the picture's corner."""
    centre, reach = (start + end) / 2, min((end - start) / 2, LARGEST_WINDOW / 2)
    first = int(centre - reach)
    return first - first % JPEG_BLOCK, int(centre + reach)


def _border_step(steps: npt.NDArray[np.float64]) -> float:
    """The mean step from one line of pixels to the next across block borders, over that inside blocks."""
    at_borders = steps[JPEG_BLOCK - 1 :: JPEG_BLOCK]
    across = float(at_borders.sum())
    inside = (float(steps.sum()) - across) / (len(steps) - len(at_borders))
    return (across / len(at_borders) + 0.1) / (inside + 0.1)
