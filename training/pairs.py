"""Pairs: photographs and the copies that an autoencoder makes of them, cut and delivered alike.

The copies are made once (`make_copies`), because a decoder takes longer than a training step. They are saved as the
photographs are stored, JPEG q90 4:2:0, so that how a file was saved does not tell a pair apart.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from training.data import FaceFile, copy_path, read_rgb
from training.processing import Picture
from training.pseudo import decoded_copy

QUALITY = 90


def make_copies(
    rows: Sequence[FaceFile], round_trip: Callable[[Picture], Picture], copies: Path, limit: int = 0, seed: int = 0
) -> int:
    """Copy the photographs of the train split into the folder `copies`; those that are there already stay.

    Args:
        round_trip: of `training.autoencoders.Autoencoder`, or the like.
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
    partial = target.with_suffix(".partial")
    Image.fromarray(picture).save(partial, "JPEG", quality=QUALITY, subsampling="4:2:0")
    partial.replace(target)
