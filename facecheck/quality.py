"""How much evidence a face offers: size, sharpness, compression, completeness, each measured on the pixels.

What the numbers mean for the error of a model is measured by `python -m training calibrate`; the limits stand in the
model's config. Beyond them a face is answered with `uncertain` and the reason.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facecheck.config import Limits

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
        landmarks: (5, 2) xy, pixels, as in `facecheck.detection.Detections`.
    """
    corners = np.asarray(box, dtype=np.float64)
    height, width = image.shape[:2]
    inside = np.clip(corners, 0, (width, height, width, height))
    area = max(float(np.prod(corners[2:] - corners[:2])), 1.0)
    return Quality(
        face_px=float(max(corners[2:] - corners[:2])),
        sharpness=float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std()),
        blockiness=_blockiness(image, inside),
        outside=float(np.clip(1 - np.prod(inside[2:] - inside[:2]) / area, 0, 1)),
        turned=0.0 if landmarks is None else _turned(np.asarray(landmarks, dtype=np.float64)),
    )


def _turned(points: npt.NDArray[np.float64]) -> float:
    """From eyes, nose and mouth corners; a tilt of the head does not count."""
    left, right, nose, mouth = points[0], points[1], points[2], points[3:].mean(axis=0)
    across = right - left
    width = float(np.hypot(*across))
    if width < 1:
        return 0.0
    middle = ((left + right) / 2 + mouth) / 2
    return float(abs((nose - middle) @ across)) / width**2


def _blockiness(image: npt.NDArray[np.uint8], box: npt.NDArray[np.float64]) -> float:
    centre, reach = (box[:2] + box[2:]) / 2, np.minimum((box[2:] - box[:2]) / 2, LARGEST_WINDOW / 2)
    (x0, y0), (x1, y1) = (centre - reach).astype(int), (centre + reach).astype(int)
    # Start on the grid, which begins at the picture's corner.
    x0, y0 = x0 - x0 % JPEG_BLOCK, y0 - y0 % JPEG_BLOCK
    region = np.ascontiguousarray(image[y0:y1, x0:x1])
    if min(region.shape[:2]) < 3 * JPEG_BLOCK:
        return 1.0
    grey = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    across, down = cv2.absdiff(grey[:, 1:], grey[:, :-1]), cv2.absdiff(grey[1:], grey[:-1])
    return max((_border_step(across.mean(axis=0)) + _border_step(down.mean(axis=1))) / 2, 1.0)


def _border_step(steps: npt.NDArray[np.float64]) -> float:
    """The mean step from one line of pixels to the next across block borders, over that inside blocks."""
    at_border = np.arange(len(steps)) % JPEG_BLOCK == JPEG_BLOCK - 1
    return float((steps[at_border].mean() + 0.1) / (steps[~at_border].mean() + 0.1))
