"""Features of many faces, all layers of a frozen backbone in one pass, kept on disk: columns are chosen later."""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facecheck.files import naming, sha256_of
from training.augment import Delivery, training_face
from training.backbones.extractor import Extractor, Features
from training.data import FaceFile, copy_path, quiet_worker, read_rgb
from training.fitting.monitoring import arrived
from training.processing import Picture
from training.pseudo import SELF_BLEND, decoded_copy, load_autoencoder, self_blended

BATCH = 32


@dataclass(frozen=True)
class View:
    """How the faces are shown: as training sees them, or (without `delivery`) as they arrive through a tier.

    The same file in the same view looks the same, whatever rows stand beside it; a fake that is made of a photograph
    comes through the delivery of that photograph.

    Attributes:
        seed: of the deliveries.
        pseudo: turn every face into a pseudo-fake of this kind first, see `training.pseudo`.
        autoencoder: weights for that kind.
        copies: show the copies in this folder of `training pairs` instead of the faces.
    """

    delivery: Delivery | None = None
    tier: str = "web"
    seed: int = 0
    pseudo: str = ""
    autoencoder: Path | None = None
    copies: Path | None = None

    @property
    def name(self) -> str:
        """In a few words."""
        made = "copies" if self.copies else self.pseudo
        return f"delivery {self.seed} {made}".rstrip() if self.delivery else self.tier


class Faces(Dataset[Tensor]):
    """(3, S, S) uint8 of every row once, in a view."""

    def __init__(self, rows: Sequence[FaceFile], size: int, margin: float, view: View) -> None:
        self.rows, self.size, self.margin, self.view = rows, size, margin, view
        self.autoencoder = load_autoencoder(view.autoencoder) if view.autoencoder else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row, view = self.rows[index], self.view
        if view.delivery is None:
            face = arrived(row, view.tier, self.size, self.margin)
        else:
            seed = (view.seed, zlib.crc32(row.path.name.encode()))
            picture = self._picture(row, np.random.default_rng((*seed, 1)))
            face = training_face(picture, row.box, self.size, self.margin, view.delivery, np.random.default_rng(seed))
        return torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))

    def _picture(self, row: FaceFile, rng: np.random.Generator) -> Picture:
        """The face, or the fake that is made of it."""
        if self.view.copies:
            return read_rgb(copy_path(self.view.copies, row))
        picture = read_rgb(row.path)
        if self.view.pseudo == SELF_BLEND:
            return self_blended(picture, np.array(row.box), rng)
        if self.autoencoder is not None:
            return decoded_copy(picture, np.array(row.box), self.autoencoder.round_trip, rng)
        return picture


def extract(
    extractor: Extractor, rows: Sequence[FaceFile], view: View, cache: Path, margin: float = 1.3, workers: int = 1
) -> Features:
    """(N, D) features of all rows in a view, mapped from a file in the folder `cache`; killed, it goes on where it was.

    One process writes to `cache` at a time.
    """
    kept = cache / f"{extractor.kind} {view.name} {_digest(extractor, rows, view, margin)[:16]}.npy"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        with naming(kept), partial.open("a+b") as stream:
            done = _resumed(stream, len(rows), extractor.width)
            _fill(stream, extractor, Faces(rows[done:], extractor.input_size, margin, view), workers)
        partial.replace(kept)
    found: Features = np.load(kept, mmap_mode="r", allow_pickle=False)
    return found


def _digest(extractor: Extractor, rows: Sequence[FaceFile], view: View, margin: float) -> str:
    """Of everything that the features depend on; of the faces names and boxes alone."""
    how = (extractor.kind, extractor.digest, extractor.layers, extractor.input_size, margin)
    shown = replace(view, autoencoder=None, copies=None)
    made_by = sha256_of(view.autoencoder) if view.autoencoder else ""
    copies = [copy_path(view.copies, row).stat().st_size for row in rows] if view.copies else []
    what = [(row.path.name, row.box) for row in rows]
    return sha256_of(repr((how, shown, made_by, copies, what)).encode())


def _resumed(stream: BinaryIO, rows: int, width: int) -> int:
    """Cut a half-written row off; return how many are there."""
    start = io.BytesIO()
    layout = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(start, layout)
    header, row_bytes = start.getvalue(), width * np.dtype(np.float16).itemsize
    size = stream.seek(0, io.SEEK_END)
    if size < len(header):
        stream.truncate(0)
        stream.write(header)
        return 0
    done = (size - len(header)) // row_bytes
    stream.truncate(len(header) + done * row_bytes)
    return done


def _fill(stream: BinaryIO, extractor: Extractor, faces: Faces, workers: int) -> None:
    loader = DataLoader(faces, BATCH, num_workers=workers, worker_init_fn=quiet_worker)
    for batch in tqdm(loader, desc=f"{extractor.kind}, {faces.view.name}", unit="batch", disable=None):
        stream.write(extractor(batch).tobytes())
        stream.flush()
