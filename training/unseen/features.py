"""Features of many faces, all layers of a frozen backbone in one pass, kept on disk; and a linear classifier on them.

Columns are chosen later. The classifier reads off in seconds what a backbone knows already.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facecheck.files import naming, sha256_of
from training.augment import Delivery, training_face
from training.data import FaceFile, arrived, copy_path, quiet_worker, read_rgb, sampling_weights
from training.evaluation.metrics import Bools, Floats, Ints
from training.processing import Picture
from training.pseudo import SELF_BLEND, decoded_copy, load_autoencoder, self_blended
from training.unseen.extractor import Extractor, Features

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


CLIP = 6.0
STRENGTH = 0.002
"""Inverse of the L2 penalty, for standardised features."""
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """Logistic regression on standardised, clipped features.

    Attributes:
        mean, scale, coefficients: (D,).
    """

    mean: Singles
    scale: Singles
    coefficients: Singles
    intercept: float

    @classmethod
    def fit(cls, features: Features, targets: Ints, weights: Floats, strength: float = STRENGTH) -> "Head":
        """Fit to (N, D) features of (N,) targets; of the (N,) weights only the ratios count."""
        mean, scale = _scaling(features)
        regression = LogisticRegression(C=strength, max_iter=200)
        regression.fit(_standardised(features, mean, scale), targets, sample_weight=weights / weights.mean())
        return cls(mean, scale, regression.coef_[0].astype(np.float32), float(regression.intercept_[0]))

    def logits(self, features: Features) -> Floats:
        """(N,), positive = fake."""
        scaled = _standardised(features, self.mean, self.scale)
        return np.asarray(scaled @ self.coefficients + self.intercept, dtype=np.float64)


def _scaling(features: Features) -> tuple[Singles, Singles]:
    """Mean and standard deviation of each column; 1 where a column never changes."""
    mean = features.mean(axis=0, dtype=np.float32)
    deviation = np.sqrt(np.mean((features - mean) ** 2, axis=0, dtype=np.float32))
    return mean, np.where(deviation > 0, deviation, np.float32(1))


def _standardised(features: Features, mean: Singles, scale: Singles) -> Singles:
    return np.asarray(np.clip((features - mean) / scale, -CLIP, CLIP), dtype=np.float32)


class LinearProbe:
    """A head that is fitted anew for every question, every view of a training face an example.

    Args:
        views: (V, N, D) features of all rows as training sees them.
        arrived: (N, D) features of all rows as they arrive.
        pseudo: (N, D) features of all rows as pseudo-fakes; those of photographs are learned as fakes, and weigh
            `pseudo_share` of what the real fakes weigh.
        strength: inverse of the L2 penalty, for standardised features.
    """

    def __init__(
        self, rows: Sequence[FaceFile], views: Sequence[Features], arrived: Features, pseudo: Features | None = None,
        pseudo_share: float = 0.2, strength: float = STRENGTH,
    ) -> None:  # fmt: skip
        self.rows, self.views, self.arrived, self.strength = list(rows), views, arrived, strength
        self.pseudo, self.pseudo_share = pseudo, pseudo_share

    def __call__(self, train: Bools, test: Bools) -> Floats:
        """Fit on the rows of `train`, score those of `test`."""
        learned = [row for row, is_in in zip(self.rows, train, strict=True) if is_in]
        examples = Examples.of(learned, sampling_weights(learned), [view[train] for view in self.views])
        if self.pseudo is not None:
            photographs = np.array([row.target == 0 for row in learned])
            examples = examples.with_copies(self.pseudo[train][photographs], self.pseudo_share)
        return examples.head(self.strength).logits(self.arrived[test])


@dataclass(frozen=True)
class Examples:
    """What a head learns from.

    Attributes:
        features: (N, D). targets, weights: (N,).
    """

    features: Features
    targets: Ints
    weights: Floats

    @classmethod
    def of(cls, rows: Sequence[FaceFile], weights: Floats, views: Sequence[Features]) -> "Examples":
        """Every row in each of the views, (len(rows), D) each."""
        targets = np.array([row.target for row in rows])
        return cls(np.concatenate(views), np.tile(targets, len(views)), np.tile(weights, len(views)) / len(views))

    def with_copies(self, features: Features, share: float) -> "Examples":
        """And pseudo-fakes, which weigh `share` of what the fakes weigh."""
        each = self.weights[self.targets == 1].sum() * share / len(features)
        return Examples(
            np.concatenate([self.features, features]),
            np.concatenate([self.targets, np.ones(len(features), dtype=self.targets.dtype)]),
            np.concatenate([self.weights, np.full(len(features), each)]),
        )

    def head(self, strength: float = STRENGTH) -> Head:
        """The head that is fitted to them."""
        return Head.fit(self.features, self.targets, self.weights, strength)
