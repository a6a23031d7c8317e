"""New photographs that the old data has on another side of a split: what was learned must not be judged on."""

from collections.abc import Sequence

from tqdm import tqdm

from training.data import FaceFile, read_rgb
from training.faces.audit import SURE_DISTANCE
from training.faces.grouping import near_pairs, perceptual_hash


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
