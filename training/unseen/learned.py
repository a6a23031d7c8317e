"""Which faces an experiment learns from: of the learning splits only, and of those what it does not leave out."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from training.data import FaceFile
from training.evaluation.metrics import Bools

LEARNING = ("train", "val")
OLDER = ("StyleGAN", "Stable Diffusion", "SDXL", "Realistic Vision", "RealVisXL", "CosmicMan")
"""How the names of generators begin that are GANs, or of the Stable Diffusion family up to SDXL."""
OFFICIAL = frozenset({"uk-parliament", "thai-parliament", "congress", "guatemala", "voteview-manual"})
STUDIO = frozenset({"london", "canada", "caltech", "angular-bios", "ember-team", "congress"})
FLICKR = frozenset({"ffhq1024", "ffhq256"})


def modern(row: FaceFile) -> bool:
    """A fake of a generator that is not among `OLDER`."""
    return row.label == "fake" and not row.generator.startswith(OLDER)


def older(row: FaceFile) -> bool:
    """A fake of a generator among `OLDER`."""
    return row.label == "fake" and not modern(row)


def _photographs(sources: frozenset[str]) -> Callable[[FaceFile], bool]:
    return lambda row: row.label == "real" and row.source in sources


SETS: Mapping[str, Callable[[FaceFile], bool]] = {
    "modern generators": modern,
    "older generators": older,
    "official portraits": _photographs(OFFICIAL),
    "studio portraits": _photographs(STUDIO),
    "FFHQ": _photographs(FLICKR),
}
"""What can be left out, by name."""


def luck(name: str) -> float:
    """A number in [0, 1) that is always the same for a name, for draws that nest."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def learning(rows: Sequence[FaceFile]) -> list[FaceFile]:
    """Those of the splits that may be learned from."""
    return [row for row in rows if row.split in LEARNING]


def drawn(rows: Sequence[FaceFile], faces: int) -> list[FaceFile]:
    """At most `faces` of the learning splits, a quarter as many of test and all of the world, in their order; 0: all.

    Every source gives as many as another, small ones all that they have; fakes of `modern` generators all stay.
    """
    if not faces:
        return list(rows)
    test = [row for row in rows if row.split == "test"]
    left_out = {
        row.path for part, most in ((learning(rows), faces), (test, faces // 4)) for row in _surplus(part, most)
    }
    return [row for row in rows if row.path not in left_out]


def _surplus(rows: Sequence[FaceFile], faces: int) -> list[FaceFile]:
    """What must go so that `faces` stay."""
    sources: defaultdict[tuple[str, str], list[FaceFile]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: luck(row.path.name)):
        if not modern(row):
            sources[row.label, row.source].append(row)
    room = faces - sum(map(modern, rows))
    fitting = (cap for cap in range(len(rows), 0, -1) if sum(min(len(s), cap) for s in sources.values()) <= room)
    cap = next(fitting, 0)
    return [row for members in sources.values() for row in members[cap:]]


def kept(
    rows: Sequence[FaceFile], without: Sequence[str], files: float, photograph_sources: float, fake_sources: float
) -> Bools:
    """(N,) which rows stay.

    Args:
        without: names of `SETS`. files: share of the groups of files.
        photograph_sources, fake_sources: share of the sources of each class; a smaller share lies inside a larger one.
    """
    shares = {"real": photograph_sources, "fake": fake_sources}
    chosen: set[tuple[str, str]] = set()
    for label, share in shares.items():
        sources = sorted({row.source for row in rows if row.label == label}, key=luck)
        chosen |= {(label, source) for source in sources[: max(round(len(sources) * share), 1)]}
    return np.array([
        (row.label, row.source) in chosen and luck(row.group) < files and not any(SETS[name](row) for name in without)
        for row in rows
    ])  # fmt: skip
