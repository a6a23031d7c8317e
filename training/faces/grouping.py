"""What belongs together, and on which side of a split it stands.

Near-duplicates are found by perceptual hashes of the face crop: a 64-bit pHash (DCT) and a 64-bit dHash (gradients),
both of the imagehash library, read as one hash of 128 bits. The crop, not the whole picture, is hashed: the detector
brings two framings of one photograph to the same crop.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from training.data import SPLITS, WORLD, FaceFile, read_rgb

Hashes = npt.NDArray[np.uint8]
Pairs = npt.NDArray[np.int64]

HASH_BYTES = 16
# Grouping too much costs nothing, so the limit is generous; portraits in one studio pose already come near it.
MAX_DISTANCE = 10
# In 12,000 portraits the pairs across a split at this distance showed one face; at 6 the first two strangers met.
SURE_DISTANCE = 5
# A block of comparisons stays below 64 MB.
BLOCK = 4_000_000
_BITS = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)


def perceptual_hash(image: npt.NDArray[np.uint8]) -> bytes:
    """128 bits of (H, W, 3) uint8 RGB: pHash, then dHash."""
    import imagehash

    grey = Image.fromarray(image).convert("L").resize((64, 64), Image.Resampling.BOX)
    bits = np.concatenate([imagehash.phash(grey).hash.ravel(), imagehash.dhash(grey).hash.ravel()])
    return np.packbits(bits).tobytes()


def near_pairs(hashes: Sequence[bytes], max_distance: int = MAX_DISTANCE) -> Pairs:
    """(M, 2) indices of the hashes that differ by at most `max_distance` of their 128 bits.

    Two such hashes are equal in at least one of `max_distance` + 1 pieces (the pigeonhole principle; Manku et al. 2007,
    "Detecting near-duplicates for web crawling"), so only hashes that share a piece are compared.
    """
    if len(hashes) < 2:
        return np.empty((0, 2), np.int64)
    table = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), HASH_BYTES)
    bits = np.unpackbits(table, axis=1)
    found = [np.empty((0, 2), np.int64)]
    for piece in np.array_split(np.arange(bits.shape[1]), max_distance + 1):
        for members in _buckets(bits[:, piece]):
            found.append(_close(table, members, max_distance))
    return np.unique(np.concatenate(found), axis=0)


def similar_pairs(embeddings: npt.NDArray[np.float32], owners: Sequence[int], min_similarity: float) -> Pairs:
    """(M, 2) owners of embeddings whose cosine is at least `min_similarity`: the same person, says the face network.

    Args:
        embeddings: (N, D), unit length; owners: N numbers that the pairs are given in.
    """
    found, names = [np.empty((0, 2), np.int64)], np.asarray(owners, dtype=np.int64)
    rows = max(BLOCK // max(len(embeddings), 1), 1)
    for start in range(0, len(embeddings), rows):
        first, second = np.nonzero(embeddings[start : start + rows] @ embeddings[start:].T >= min_similarity)
        later = second > first
        found.append(np.column_stack([names[first[later] + start], names[second[later] + start]]))
    return np.concatenate(found)


def without_crossing(new: Sequence[FaceFile], old: Sequence[FaceFile]) -> tuple[FaceFile, ...]:
    """The new rows without those that are copies of an old row in another split, and without the groups of these.

    A copy is what the audit takes for one, the same bytes among them: perceptual hashes within `SURE_DISTANCE`. The
    rest of its group would stand on one side and the old picture, which belongs to the group, on the other.
    """
    rows = [*old, *new]
    hashes = [perceptual_hash(read_rgb(row.path)) for row in tqdm(rows, "hashes", unit="face", disable=None)]
    pairs = near_pairs(hashes, SURE_DISTANCE)
    crossing = {rows[b].group for a, b in pairs if a < len(old) <= b and rows[a].split != rows[b].split}
    return tuple(row for row in new if row.group not in crossing)


def same_value(values: Iterable[str], owners: Iterable[int] | None = None) -> Pairs:
    """(M, 2) owners of neighbours with the same text; empty texts belong to nobody.

    Args:
        values: N texts; owners: N numbers that the pairs are given in, by default the places of the texts.
    """
    last: dict[str, int] = {}
    pairs = []
    for index, value in zip(itertools.count() if owners is None else owners, values, strict=False):
        if value and value in last:
            pairs.append((last[value], index))
        last[value] = index
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def components(count: int, pairs: Sequence[Pairs]) -> npt.NDArray[np.int64]:
    """(count,) number of the connected component of each item, joined by all pairs together."""
    edges = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def assign_splits(
    groups: Sequence[str], sources: Sequence[str], shares: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """A split for each group: within every source, groups in the order of a hash fill train, then val, then test.

    Args:
        groups, sources: of each face; a group counts for the source that most of its faces come from.
        shares: of the faces, for train, val and test.

    Returns:
        Group -> "train", "val" or "test"; the same for the same faces and seed, whatever their order.
    """
    sizes = Counter(groups)
    owners: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for group, source in zip(groups, sources, strict=True):
        owners[group][source] += 1
    queues: defaultdict[str, list[str]] = defaultdict(list)
    for group, counts in owners.items():
        queues[min(counts, key=lambda source: (-counts[source], source))].append(group)
    ends = np.cumsum(np.asarray(shares) / sum(shares))
    splits = {}
    for queue in queues.values():
        queue.sort(key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
        total, before = sum(sizes[group] for group in queue), 0
        for group in queue:
            middle = (before + sizes[group] / 2) / total
            splits[group] = ("train", "val", "test")[min(int(np.searchsorted(ends, middle)), 2)]
            before += sizes[group]
    return splits


def keep_splits(groups: Sequence[str], given: Sequence[str], drawn: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """The splits that the data set gives, one for a group, and how many groups stood on two sides.

    Such a group moves to where most of its faces are, or to train; a group without a given split keeps the drawn one.
    """
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for group, split in zip(groups, given, strict=True):
        if split:
            votes[group][split] += 1
    order = SPLITS
    kept = {
        group: min(order, key=lambda split: (-counts[split], order.index(split))) for group, counts in votes.items()
    }
    return {**drawn, **kept}, sum(len(counts) > 1 for counts in votes.values())


def world_sources(sources: Sequence[str], given: Sequence[str], named: Sequence[str]) -> set[str]:
    """The sources that are set aside whole, as "label/source": those that are named, and those that come as such.

    Args:
        sources, given: of each face; the split that its data set gives is empty where it gives none.
        named: "name" or "label/name".

    Raises:
        ValueError: no such source; a source that is not named is only partly in the given split world.
    """
    known = {source: {source, source.partition("/")[2]} for source in sources}
    if missing := set(named) - {name for names in known.values() for name in names}:
        raise ValueError(f"no source {', '.join(sorted(missing))} to set aside; there are {', '.join(sorted(known))}")
    chosen = {source for source, names in known.items() if names & set(named)}
    pairs = set(zip(sources, given, strict=True))
    kept = {source for source, split in pairs if split == WORLD}
    if partly := {source for source, split in pairs if source in kept - chosen and split not in (WORLD, "")}:
        raise ValueError(f"{', '.join(sorted(partly))}: only a part is in the split {WORLD}; name it with --world")
    return chosen | kept


def set_aside(groups: Sequence[str], sources: Sequence[str], world: Collection[str]) -> list[bool]:
    """Whether each face may stay when the sources `world` are set aside whole.

    Of a group that reaches into another source, the faces there go: learned from, they would give away what the split
    world is there to find out, and moved there they would take a part of their source with them.
    """
    inside = {group for group, source in zip(groups, sources, strict=True) if source in world}
    return [source in world or group not in inside for group, source in zip(groups, sources, strict=True)]


def _buckets(piece: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of the rows that are equal, for each value that occurs more than once."""
    values = np.unique(np.packbits(piece, axis=1), axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(values, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
        if len(members) > 1:
            yield members


def _close(table: Hashes, members: npt.NDArray[np.int64], max_distance: int) -> Pairs:
    found = []
    rows = max(BLOCK // len(members) // HASH_BYTES, 1)
    for start in range(0, len(members), rows):
        block = table[members[start : start + rows], None] ^ table[None, members[start:]]
        first, second = np.nonzero(_BITS[block].sum(axis=2, dtype=np.int64) <= max_distance)
        later = second > first
        found.append(np.column_stack([members[first[later] + start], members[second[later] + start]]))
    return np.sort(np.concatenate(found), axis=1)
