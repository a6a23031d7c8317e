"""The autoencoder of the pseudo-fakes: trained on photographs only, and the copies of photographs that it makes.

Pairs are photographs and their copies, cut and delivered alike. The copies are made once (`make_copies`), because a
decoder takes longer than a training step. They are saved as the photographs are stored, JPEG q90 4:2:0, so that how a
file was saved does not tell a pair apart.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import save as dump_tensors
from torch.nn.functional import l1_loss
from tqdm import tqdm

from facecheck.files import write_atomically
from training.data import FaceFile, copy_path, read_rgb
from training.processing import Picture
from training.pseudo import Upsampler, decoded_copy

PATCH, COPY_QUALITY = 96, 90


def _patch(row: FaceFile, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    picture = read_rgb(row.path)
    short = max(PATCH - picture.shape[0], 0), max(PATCH - picture.shape[1], 0)
    picture = np.pad(picture, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    y, x = (int(rng.integers(0, side - PATCH + 1)) for side in picture.shape[:2])
    return picture[y : y + PATCH, x : x + PATCH].transpose(2, 0, 1)


def train_upsampler(
    rows: Sequence[FaceFile], path: Path, steps: int = 1500, batch: int = 16, lr: float = 2e-3, seed: int = 0
) -> float:
    """Fit the autoencoder to random patches of the real faces among `rows` and save it at `path`.

    Returns:
        The mean absolute error over the last tenth of the steps, grey levels of 255.
    """
    real = [row for row in rows if row.label == "real"]
    torch.manual_seed(seed)
    network = Upsampler()
    optimizer = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        patches = np.stack([_patch(real[i], rng) for i in rng.integers(0, len(real), batch)])
        pixels = torch.from_numpy(patches).float() / 255
        loss = l1_loss(network(pixels), pixels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item() * 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, dump_tensors(network.state_dict()))
    return float(np.mean(losses[-max(steps // 10, 1) :]))


def make_copies(
    rows: Sequence[FaceFile], round_trip: Callable[[Picture], Picture], copies: Path, limit: int = 0, seed: int = 0
) -> int:
    """Copy the photographs of the train split into the folder `copies`; those that are there already stay.

    Args:
        round_trip: of `training.pseudo.Autoencoder`, or the like.
        limit: so many, the sources in turn, so that small ones are whole; 0 = all.

    Returns:
        How many copies there are.
    """
    photographs = list(_in_turn([row for row in rows if row.label == "real" and row.split == "train"]))
    for number, row in enumerate(tqdm(photographs[: limit or None], desc="copies", disable=None)):
        target = copy_path(copies, row)
        if not target.is_file():
            rng = np.random.default_rng((seed, number))
            target.parent.mkdir(parents=True, exist_ok=True)
            _save(decoded_copy(read_rgb(row.path), np.array(row.box), round_trip, rng), target)
    return len(photographs[: limit or None])


def _in_turn(rows: Sequence[FaceFile]) -> Iterator[FaceFile]:
    """One of each source, then the next of each."""
    sources: dict[str, list[FaceFile]] = {}
    for row in sorted(rows, key=lambda row: (row.source, row.path.name)):
        sources.setdefault(row.source, []).append(row)
    for place in range(max(map(len, sources.values()), default=0)):
        yield from (members[place] for members in sources.values() if place < len(members))


def _save(picture: Picture, target: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=COPY_QUALITY, subsampling="4:2:0")
    write_atomically(target, stream.getvalue())
