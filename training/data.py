"""The face photos: one row a file, and an endless, reproducible stream of augmented examples drawn from them."""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from facecheck import crop, image
from training.augment import Delivery, delivered, training_face
from training.processing import Box, Picture
from training.pseudo import AUTOENCODER, KINDS, decoded_copy, load_autoencoder, self_blended

WORLD = "world"
"""Whole sources of both classes that stand in no other split: nothing is trained on them, and every rate that is stated
of a model is measured there."""
SPLITS = ("train", "val", "test", WORLD)
NO_WORLD = (
    "No source is set aside: what the model does on sources that it has not learned from cannot be measured. "
    "`prepare --world SOURCE` sets one aside."
)


UNSEEN, LEARNED = "Unseen sources", "Sources it learned from"
"""What is said beside every rate: of which sources it is."""


def sources_of(split: str) -> str:
    """`UNSEEN` or `LEARNED`, by the split that something was measured on."""
    return UNSEEN if split == WORLD else LEARNED


@dataclass(frozen=True)
class FaceFile:
    """One picture with one known face.

    Attributes:
        label: "real" or "fake".
        box: xyxy pixels inside the file.
        group: files of one group (near-duplicates, one identity, one prompt) stand in one split.
        generator: what made a fake, as its publisher calls it; empty for photographs.
        age (years), gender, ethnicity: as the source says, or empty.
    """

    path: Path
    label: str
    source: str
    split: str
    group: str
    box: tuple[float, float, float, float]
    generator: str = ""
    age: str = ""
    gender: str = ""
    ethnicity: str = ""

    @property
    def target(self) -> int:
        """1 = fake."""
        return int(self.label == "fake")

    @property
    def stratum(self) -> str:
        """Label and source, as "fake/omi"."""
        return f"{self.label}/{self.source}"


def read_manifest(folder: Path) -> list[FaceFile]:
    """Rows of `folder`/manifest.csv: columns file, label, source, split, group, x0, y0, x1, y1.

    The columns generator, age, gender and ethnicity may be missing or empty; others are ignored.

    Raises:
        ValueError: a group stands in more than one split, a source of the split world in another one, or a label is
            neither real nor fake.
    """
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [
            FaceFile(
                folder / row["file"], row["label"], row["source"], row["split"], row["group"],
                (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])),
                **{name: row.get(name) or "" for name in ("generator", "age", "gender", "ethnicity")},
            )
            for row in csv.DictReader(stream)
        ]  # fmt: skip
    if unknown := {row.label for row in rows} - {"real", "fake"}:
        raise ValueError(f"labels must be 'real' or 'fake', found {sorted(unknown)}")
    crossing = [
        group for group, count in Counter(group for group, _ in {(r.group, r.split) for r in rows}).items() if count > 1
    ]
    if crossing:
        raise ValueError(f"{len(crossing)} groups stand in more than one split, for example {crossing[0]!r}")
    if seen := seen_sources(rows):
        raise ValueError(f"{WORLD} must hold whole sources; {', '.join(seen)} stand in another split too")
    return rows


def seen_sources(rows: Sequence[FaceFile]) -> list[str]:
    """The sources, as "label/source", that stand in the split world and in another one."""
    inside, outside = ({row.stratum for row in rows if (row.split == WORLD) is side} for side in (True, False))
    return sorted(inside & outside)


def judged_split(rows: Sequence[FaceFile], otherwise: str) -> str:
    """The split that rates are stated from: world where it holds both classes, else `otherwise`."""
    return WORLD if {row.label for row in rows if row.split == WORLD} == {"real", "fake"} else otherwise


def strata(rows: Sequence[FaceFile]) -> npt.NDArray[np.str_]:
    """(N,) label and source of each row, as "fake/omi"."""
    return np.array([row.stratum for row in rows], dtype=np.str_)


def sampling_weights(
    rows: list[FaceFile], boost: Mapping[str, float] | None = None, power: float = 0.5
) -> npt.NDArray[np.float64]:
    """(N,) probabilities: both classes equal; within a class a source of n files counts n ** `power`.

    `boost` multiplies the share of sources, named "label/source".
    """
    sizes = Counter((row.label, row.source) for row in rows)
    known = {f"{label}/{source}" for label, source in sizes}
    if unknown := set(boost or {}) - known:
        raise ValueError(f"no such sources: {sorted(unknown)}; there are {sorted(known)}")
    shares = {key: size**power * (boost or {}).get("/".join(key), 1.0) for key, size in sizes.items()}
    totals: defaultdict[str, float] = defaultdict(float)
    for (label, _), share in shares.items():
        totals[label] += share
    each = {key: share / sizes[key] / totals[key[0]] / len(totals) for key, share in shares.items()}
    return np.array([each[row.label, row.source] for row in rows])


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of one prepared face file."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"cannot read {path}")
    return np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def arrived(row: FaceFile, tier: str, size: int, margin: float) -> npt.NDArray[np.uint8]:
    """(size, size, 3) uint8 RGB: a row's face after a delivery tier, cut at the manifest's box.

    Prepared files are small enough for every tier to leave their size, so that the box holds.
    """
    return crop.face(image.load(delivered(row.path.read_bytes(), tier)), row.box, size, margin)


def quiet_worker(_: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: one thread each, because the processes share the cores already."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class FaceStream(Dataset[tuple[torch.Tensor, float]]):
    """Example k is a pure function of (seed, k), so that training resumed at any step sees what it would have seen.

    Attributes:
        sizes: side of the input at each step, pixels; all examples of a batch have one size.
        share: (rank, world): the process `rank` gets its part of every batch of `batch` faces.
        pseudo: share of the real examples that become fakes, by kind, see `training.pseudo`.
        copies: a folder of `training pairs`; `pair_share` of a batch are photographs that have a copy
            there, each beside its copy, and both come through the very same delivery.
        opinions: p_fake of a teacher by file name; `teacher_share` of a face's target comes from there (Hinton et al.
            2015), the rest from its label. Pseudo-fakes and pairs have their label alone.
    """

    def __init__(
        self,
        rows: list[FaceFile],
        sizes: list[int],
        batch: int,
        margin: float,
        delivery: Delivery,
        seed: int,
        start_step: int = 0,
        boost: Mapping[str, float] | None = None,
        share: tuple[int, int] = (0, 1),
        pseudo: Mapping[str, float] | None = None,
        autoencoder: Path | None = None,
        copies: Path | None = None,
        pair_share: float = 0.0,
        opinions: Mapping[str, float] | None = None,
        teacher_share: float = 0.0,
    ) -> None:
        if unknown := set(pseudo or {}) - set(KINDS):
            raise ValueError(f"no such pseudo-fakes: {sorted(unknown)}; there are {KINDS}")
        if AUTOENCODER in (pseudo or {}) and autoencoder is None:
            raise ValueError(f"pseudo-fakes of kind {AUTOENCODER!r} need the weights of an autoencoder")
        self.rows, self.sizes, self.batch, self.margin = rows, sizes, batch, margin
        self.delivery, self.seed, self.start_step, self.share = delivery, seed, start_step, share
        self.pseudo = dict(pseudo or {})
        self.autoencoder = load_autoencoder(autoencoder) if autoencoder else None
        weights = sampling_weights(rows, boost)
        self.cumulative = np.cumsum(weights)
        self.opinions, self.teacher_share = opinions or {}, teacher_share
        self.copies, self.pair_share = copies, pair_share if copies else 0.0
        paired = [copies is not None and row.label == "real" and copy_path(copies, row).is_file() for row in rows]
        if self.pair_share and not any(paired):
            raise ValueError(f"{copies} holds no copies of these photographs; `python -m training pairs` makes them")
        self.cumulative_paired = np.cumsum(weights * paired)

    def __len__(self) -> int:
        return (len(self.sizes) - self.start_step) * (self.batch // self.share[1])

    def __getitem__(self, position: int) -> tuple[torch.Tensor, float]:
        rank, world = self.share
        step, place = divmod(position, self.batch // world)
        k = (self.start_step + step) * self.batch + rank * (self.batch // world) + place
        # Two neighbours draw alike until it is known whether they are a pair, and all the way if they are.
        rng = np.random.default_rng((self.seed, k - k % 2))
        side = self.sizes[self.start_step + step]
        if rng.random() < self.pair_share:
            return self._example(*self._half_of_a_pair(k % 2, rng), side, rng)
        rng = np.random.default_rng((self.seed, k))
        row = self.rows[_drawn(self.cumulative, rng)]
        picture, target = read_rgb(row.path), self._taught(row)
        if self.pseudo and row.label == "real":
            picture, disguised = self._disguised(picture, np.array(row.box), rng)
            target = 1.0 if disguised else target
        return self._example(picture, row.box, target, side, rng)

    def _example(
        self, picture: Picture, box: tuple[float, ...], target: float, side: int, rng: np.random.Generator
    ) -> tuple[torch.Tensor, float]:
        face = training_face(picture, box, side, self.margin, self.delivery, rng)
        return torch.from_numpy(face.transpose(2, 0, 1).copy()), float(target)

    def _taught(self, row: FaceFile) -> float:
        """The target of a face: its label, and what a teacher thinks of it."""
        opinion = self.opinions.get(row.path.name)
        return row.target if opinion is None else row.target + self.teacher_share * (opinion - row.target)

    def _half_of_a_pair(self, which: int, rng: np.random.Generator) -> tuple[Picture, tuple[float, ...], int]:
        """A photograph (0) or its copy (1), its box, and its target."""
        row = self.rows[_drawn(self.cumulative_paired, rng)]
        path = copy_path(self.copies, row) if which and self.copies else row.path
        return read_rgb(path), row.box, which

    def _disguised(self, picture: Picture, box: Box, rng: np.random.Generator) -> tuple[Picture, int]:
        """A photograph, or now and then a pseudo-fake made of it, and its target."""
        drawn = rng.random()
        for kind, share in self.pseudo.items():
            if drawn < share:
                if kind == AUTOENCODER and self.autoencoder is not None:
                    return decoded_copy(picture, box, self.autoencoder.round_trip, rng), 1
                return self_blended(picture, box, rng), 1
            drawn -= share
        return picture, 0


def read_opinions(path: Path) -> dict[str, float]:
    """p_fake by file name, from a CSV file with the columns file and p_fake.

    Raises:
        ValueError: it is none.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            opinions = {Path(row["file"]).name: float(row["p_fake"]) for row in csv.DictReader(stream)}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no table of a teacher's opinions: it needs columns file, p_fake") from error
    if not all(0 <= p <= 1 for p in opinions.values()):
        raise ValueError(f"{path}: p_fake must be between 0 and 1")
    return opinions


def copy_path(copies: Path, row: FaceFile) -> Path:
    """Where the copy of a photograph lies in a folder of `training pairs`."""
    return copies / row.source / f"{row.path.stem}.jpg"


def _drawn(cumulative: npt.NDArray[np.float64], rng: np.random.Generator) -> int:
    """An index, drawn by the running sum of weights."""
    return min(int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")), len(cumulative) - 1)
