"""Photographs -> faces that all look the same way: the eyes of every one at the same pixels, the mouth below.

A small network learns faces sooner where none is turned, shifted or scaled (the alignment of Karras et al. 2018,
"Progressive Growing of GANs", appendix C, with five landmarks in place of 68).
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from data_generation.errors import GenerationError
from data_generation.synthesis.photos import listed
from facecheck import image
from facecheck.detection.detector import Detections, FaceDetector
from facecheck.errors import ImageError
from facecheck.files import write_atomically
from training.faces.names import slug

Faces = npt.NDArray[np.uint8]
SIDE = 64
TEMPLATE = np.array([(22.3, 25.7), (41.7, 25.7), (32.0, 37.7), (24.0, 48.0), (40.0, 48.0)], dtype=np.float32)
"""Eyes, nose, corners of the mouth in a face of `SIDE` pixels; MTCNN's box is then about 43 x 56 pixels."""
ENLARGED = 1.3
"""A face smaller than the template by more than this factor would be learned as a blurred one."""
EMPTY_SHARE = 0.04
BATCH = 16


def photographs(folder: Path, sources: Sequence[str] = ()) -> list[Path]:
    """The photographs of `folder`; where it is split, only those of the train split (of these sources).

    Raises:
        GenerationError: there is none.
    """
    names = {slug(source) for source in sources}
    found = [
        photo.path
        for photo in listed(folder).photographs
        if photo.split in ("", "train") and (not names or photo.source in names)
    ]
    if not found:
        raise GenerationError(f"{folder} holds no photograph of the sources {list(sources)}, or none to learn from")
    return found


def aligned_faces(paths: Sequence[Path], detector: FaceDetector) -> Iterator[Faces | None]:
    """The largest face of each picture as (SIDE, SIDE, 3) uint8 RGB; None where there is no good one."""
    for start in range(0, len(paths), BATCH):
        pictures = [_opened(path) for path in paths[start : start + BATCH]]
        seen = iter(detector.detect([picture for picture in pictures if picture is not None]))
        for picture in pictures:
            yield None if picture is None else _aligned(picture, next(seen))


def _opened(path: Path) -> image.Pixels | None:
    try:
        return image.load(path)
    except ImageError:
        return None


def _aligned(picture: image.Pixels, faces: Detections) -> Faces | None:
    if not len(faces):
        return None
    matrix, _ = cv2.estimateAffinePartial2D(faces.landmarks[0], TEMPLATE, method=cv2.LMEDS)
    if matrix is None or np.hypot(*matrix[:, 0]) > ENLARGED:
        return None
    height, width = picture.shape[:2]
    inside = cv2.warpAffine(np.ones((height, width), np.float32), matrix, (SIDE, SIDE))
    # Averaging before the reduction: warpAffine does not antialias.
    blur = max(1 / float(np.hypot(*matrix[:, 0])) / 2, 0.01)
    smooth = cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.4 else picture
    face = cv2.warpAffine(smooth, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    black = (face.max(axis=2) < 6).mean()
    return None if 1 - inside.mean() > EMPTY_SHARE or black > EMPTY_SHARE else np.asarray(face, dtype=np.uint8)


def cached_faces(paths: Sequence[Path], cache: Path) -> Faces:
    """(N, SIDE, SIDE, 3) uint8: the good faces of all pictures, found once and kept in `cache`.

    Raises:
        ValueError: there is none.
    """
    if cache.exists():
        return np.asarray(np.load(cache, allow_pickle=False), dtype=np.uint8)
    found = aligned_faces(paths, FaceDetector())
    faces = [face for face in tqdm(found, total=len(paths), unit="photo", disable=None) if face is not None]
    if not faces:
        raise ValueError(f"no face found in {len(paths)} photographs")
    content = io.BytesIO()
    np.save(content, np.stack(faces))
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cache, content.getvalue())
    return np.stack(faces)
