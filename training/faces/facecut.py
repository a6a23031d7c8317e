"""One photo -> its face files: the same steps for both classes, so that nothing but the face differs afterwards."""

import base64
import io
import os
import threading
from dataclasses import asdict, dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facecheck import crop, image
from facecheck.detection.detector import FaceDetector
from facecheck.errors import ImageError
from facecheck.files import write_atomically
from training.faces.grouping import perceptual_hash
from training.faces.layouts import Box

if TYPE_CHECKING:
    from torch import nn

Pixels = npt.NDArray[np.uint8]

MARGIN = 1.45
LONGEST_SIDE = 256
QUALITY = 90
FILTERS = tuple(getattr(Image.Resampling, name) for name in ("BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"))
IDENTITY_SIDE = 160


@dataclass(frozen=True)
class CutJob:
    """A photo to be cut.

    Attributes:
        recode_quality: JPEG quality to compress the whole picture with first; None if it was lossy already.
        folder: where its faces go; they are named after the hash of the photo.
        box: xyxy pixels, taken where the detector finds nothing.
    """

    path: Path
    sha256: str
    folder: Path
    recode_quality: int | None
    box: Box | None


@dataclass(frozen=True)
class CutFace:
    """A face file that was written.

    Attributes:
        box: xyxy pixels inside the file; face_px: longer side of the face in the original.
        hash: `grouping.perceptual_hash` in hex; embedding: 512 float16 in base64, or empty.
    """

    name: str
    box: Box
    face_px: int
    hash: str
    embedding: str = ""


class FaceCutter:
    """Detector, settings and, if asked, the face network of one process.

    Args:
        min_face_px: faces with a shorter box are dropped.
        all_faces: every face of a photo, not only the largest.
        identity_weights: safetensors of `facenet_pytorch.InceptionResnetV1`, to recognise people by.
    """

    def __init__(self, min_face_px: int, all_faces: bool, identity_weights: Path | None = None) -> None:
        self.detector = FaceDetector(first_px=0)  # All faces: one in the background counts too.
        self.min_face_px, self.all_faces = min_face_px, all_faces
        self.identity = _identity_network(identity_weights) if identity_weights else None

    def cut(self, job: CutJob) -> dict[str, Any]:
        """Write the faces of a photo.

        Returns:
            "faces": a dict of `CutFace` each; "n_faces" in the photo; "reason" and "detail" if no face was written.
        """
        try:
            picture = image.load(job.path)
        except ImageError as error:
            return _dropped("unreadable", str(error))
        if job.recode_quality is not None:
            picture = np.asarray(Image.open(_jpeg(picture, job.recode_quality)).convert("RGB"))
        boxes = [tuple(map(float, box)) for box in self.detector.detect([picture])[0].boxes]
        if not boxes and job.box:
            boxes = [job.box]
        if not boxes:
            return _dropped("no_face", "the detector found none")
        large = [box for box in boxes if _face_px(box) >= self.min_face_px]
        if not large:
            return _dropped("face_too_small", f"{_face_px(boxes[0])} px", len(boxes))
        chosen = large if self.all_faces else large[:1]
        faces = [asdict(self._write(picture, box, job, number)) for number, box in enumerate(chosen)]
        return {"faces": faces, "n_faces": len(boxes)}

    def _write(self, picture: Pixels, box: tuple[float, ...], job: CutJob, number: int) -> CutFace:
        pixels, inside = face_square(picture, box, FILTERS[int(job.sha256[15:30], 16) % len(FILTERS)])
        name = f"{job.sha256[:16]}{f'_{number}' if number else ''}.jpg"
        job.folder.mkdir(parents=True, exist_ok=True)
        data = _jpeg(pixels, QUALITY).getvalue()
        write_atomically(job.folder / name, data)
        return CutFace(name, inside, _face_px(box), perceptual_hash(pixels).hex(), self._embedding(picture, box))

    def _embedding(self, picture: Pixels, box: tuple[float, ...]) -> str:
        if self.identity is None:
            return ""
        import torch

        face = crop.face(picture, box, IDENTITY_SIDE, 1.0).astype(np.float32)
        with torch.inference_mode():
            vector = self.identity(torch.from_numpy((face - 127.5) / 128).permute(2, 0, 1)[None])[0]
        return base64.b64encode(vector.numpy().astype(np.float16).tobytes()).decode()


def face_square(picture: Pixels, box: npt.ArrayLike, method: Image.Resampling) -> tuple[Pixels, Box]:
    """The square of `MARGIN` times a box, inside the picture, at most `LONGEST_SIDE` px; and the box inside it."""
    left, top, right, _ = crop.square(box, picture.shape[1], picture.shape[0], MARGIN)
    x0, y0, side = int(left), int(top), max(int(right - left), 1)
    square = Image.fromarray(np.ascontiguousarray(picture[y0 : y0 + side, x0 : x0 + side]))
    if side > LONGEST_SIDE:
        square = square.resize((LONGEST_SIDE, LONGEST_SIDE), method)
    inside = (np.asarray(box, dtype=np.float64) - (x0, y0, x0, y0)) * (square.width / side)
    a, b, c, d = (round(float(value), 1) for value in inside)
    return np.asarray(square), (a, b, c, d)


def _dropped(reason: str, detail: str, n_faces: int = 0) -> dict[str, Any]:
    return {"faces": [], "n_faces": n_faces, "reason": reason, "detail": detail}


def _face_px(box: tuple[float, ...]) -> int:
    return round(max(box[2] - box[0], box[3] - box[1]))


def _jpeg(pixels: Pixels, quality: int) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=2)
    return stream


def _identity_network(weights: Path) -> "nn.Module":
    from facenet_pytorch import InceptionResnetV1
    from safetensors.torch import load_file

    network = InceptionResnetV1(classify=False)
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    return network.eval()  # type: ignore[no-any-return]


_of_this_process: list[FaceCutter] = []


def start_worker(min_face_px: int, all_faces: bool, identity_weights: Path | None) -> None:
    """Make the one cutter of a worker process, on one thread, that ends when its parent is killed."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if parent := parent_process():
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()
    _of_this_process[:] = [FaceCutter(min_face_px, all_faces, identity_weights)]


def cut_in_worker(job: CutJob) -> dict[str, Any]:
    """`FaceCutter.cut` in a process where `start_worker` ran."""
    return _of_this_process[0].cut(job)


def _leave_with(sentinel: int) -> None:
    """A worker that waits for work never notices that its parent was killed: it holds both ends of the queue."""
    wait([sentinel])
    os._exit(1)
