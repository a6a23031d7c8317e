"""How much evidence a face offers: size, sharpness, compression, completeness, each measured on the pixels.

What the numbers mean for the error of a model is measured by `python -m training calibrate`; the limits stand in the
model's config. Beyond them a face is answered with `uncertain` and the reason.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facecheck import calibration
from facecheck.error_rates import ErrorTable, Quality, Stability
from facecheck.model.config import Decision, Limits
from facecheck.result import Face, Reason, Verdict

Place = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], float]
"""Box (4,) xyxy and landmarks (5, 2) xy, pixels, and the detector's confidence."""
JPEG_BLOCK = 8
LARGEST_WINDOW = 512
SAMPLES_A_SIDE = 64
LEAST_EVEN, MOST_SHADED, LEAST_HARD = 0.5, 0.25, 0.04
"""Shares of the pixels of a drawn face that differ from the next one by under 2, by 3 to 12, by over 24 grey levels."""
FLAT, DARK = 4.0, 32.0
"""Grey levels: the standard deviation of a picture that shows next to nothing, and how bright a dark one gets."""


@dataclass(frozen=True)
class Standards:
    """What a face and its score are held against to become an answer.

    Attributes:
        decision: thresholds. limits: beyond them a face is not judged.
        errors, prevalence: how often an answer is wrong, and the share of generated faces that it is asked for.
    """

    decision: Decision
    limits: Limits
    errors: ErrorTable
    prevalence: float

    def face(
        self,
        picture: npt.NDArray[np.uint8],
        place: Place,
        cut: npt.NDArray[np.uint8],
        p_fake: float,
        stability: Stability | None,
    ) -> Face:
        """The answer for one face.

        Args:
            picture: (H, W, 3) uint8 RGB. place: where the face is in it.
            cut: (S, S, 3) uint8 RGB, the same face as `facecheck.crop.face` cut it.
        """
        box, points, confidence = place
        measured = measure(picture, box, cut, points)
        verdict = calibration.verdict(p_fake, self.decision)
        if why := doubts(measured, self.limits, verdict, stability, cut):
            verdict = Verdict.UNCERTAIN
        chance = calibration.chance_of_error(self.errors, verdict, p_fake, self.prevalence)
        (x0, y0, x1, y1), landmarks = box.tolist(), tuple((x, y) for x, y in points.tolist())
        return Face((x0, y0, x1, y1), landmarks, float(confidence), p_fake, verdict, why, stability, measured, chance)


def reasons(measured: Quality, limits: Limits) -> tuple[Reason, ...]:
    """Why a face should not be judged; empty if it may be."""
    failed = {
        Reason.FACE_TOO_SMALL: measured.face_px < limits.min_face_px,
        Reason.BLURRED: measured.sharpness < limits.min_sharpness,
        Reason.HEAVY_COMPRESSION: measured.blockiness > limits.max_blockiness,
        Reason.PARTIAL: measured.outside > limits.max_outside,
    }
    return tuple(reason for reason, is_so in failed.items() if is_so)


def doubts(
    measured: Quality, limits: Limits, verdict: Verdict, stability: Stability | None, face: npt.NDArray[np.uint8]
) -> tuple[Reason, ...]:
    """Why the answer is `uncertain`; empty if it is not.

    Args:
        verdict: that of the score alone. face: (S, S, 3) uint8 RGB, as `facecheck.crop.face` cut it.
    """
    found = reasons(measured, limits)
    if looks_drawn(face):
        found += (Reason.DRAWN,)
    if verdict == Verdict.UNCERTAIN:
        found += (Reason.BORDERLINE,)
    return (*found, Reason.UNSTABLE) if stability is not None and stability.flips else found


def looks_drawn(face: npt.NDArray[np.uint8]) -> bool:
    """Whether a face is made of areas of one colour with hard lines, as cartoons are, and not shaded as lenses see.

    How often that is right: docs/quality.md.

    Args:
        face: (S, S, 3) uint8 RGB, as `facecheck.crop.face` cut it.
    """
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    steps = np.maximum(cv2.absdiff(grey[:-1, 1:], grey[:-1, :-1]), cv2.absdiff(grey[1:, :-1], grey[:-1, :-1]))
    even, shaded, hard = (float(share.mean()) for share in (steps < 2, (steps > 2) & (steps < 13), steps > 24))
    return even >= LEAST_EVEN and shaded <= MOST_SHADED and hard >= LEAST_HARD


def not_seen(picture: npt.NDArray[np.uint8], min_face_px: float, frames: int = 1) -> tuple[Reason, ...]:
    """Why a picture in which no face was found was not really seen; empty if it was.

    Args:
        picture: (H, W, 3) uint8 RGB. min_face_px: smallest face that is looked for. frames: how many its file has.
    """
    step = max(min(picture.shape[:2]) // SAMPLES_A_SIDE, 1)
    grey = picture[::step, ::step].mean(axis=2)
    failed = {
        Reason.PICTURE_TOO_SMALL: min(picture.shape[:2]) < min_face_px,
        Reason.NEARLY_ONE_COLOUR: float(grey.std()) < FLAT,
        Reason.TOO_DARK: float(np.quantile(grey, 0.99)) < DARK,
        Reason.FRAMES_NOT_SEEN: frames > 1,
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
