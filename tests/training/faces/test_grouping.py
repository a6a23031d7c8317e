"""Hashes, pairs, components and splits, against brute force and hand-made cases."""

from collections import Counter

import cv2
import numpy as np
import pytest

from training.faces import grouping


@pytest.fixture(scope="module")
def hashes() -> list[bytes]:
    """Random hashes, and noisy copies of some at known distances."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (300, 128), dtype=np.uint8)
    for index, distance in enumerate((0, 3, 10, 11, 30)):
        copy = bits[index].copy()
        copy[rng.choice(128, distance, replace=False)] ^= 1
        bits[200 + index] = copy
    return [np.packbits(row).tobytes() for row in bits]


@pytest.mark.parametrize("distance", [0, 5, 10])
def test_near_pairs_are_those_of_brute_force(hashes, distance):
    bits = np.unpackbits(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16), axis=1).astype(int)
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    expected = [(a, b) for a, b in np.argwhere(distances <= distance) if a < b]
    assert [tuple(pair) for pair in grouping.near_pairs(hashes, distance)] == expected
    assert len(expected) == {0: 1, 5: 2, 10: 3}[distance]


def test_near_pairs_in_small_blocks(hashes, monkeypatch):
    whole = grouping.near_pairs([hashes[0]] * 9 + hashes, 10)
    monkeypatch.setattr(grouping, "BLOCK", 64)
    np.testing.assert_array_equal(grouping.near_pairs([hashes[0]] * 9 + hashes, 10), whole)


def test_few_hashes_have_no_pairs(hashes):
    assert grouping.near_pairs([]).shape == grouping.near_pairs(hashes[:1]).shape == (0, 2)


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def test_a_thumbnail_saved_badly_is_near_and_another_face_is_not(astronaut, grace):
    face, other = astronaut[:256, 100:356], cv2.resize(grace[50:350, 100:400], (256, 256))
    small = cv2.resize(face, (90, 90), interpolation=cv2.INTER_AREA)
    small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    reference = grouping.perceptual_hash(face)
    assert distance(reference, grouping.perceptual_hash(small)) <= grouping.MAX_DISTANCE
    assert distance(reference, grouping.perceptual_hash(other)) > 30


def test_similar_pairs_are_those_of_the_cosine():
    vectors = np.array([[1, 0], [0, 1], [0.96, 0.28], [0.28, 0.96]], np.float32)
    assert grouping.similar_pairs(vectors, [10, 11, 12, 13], 0.95).tolist() == [[10, 12], [11, 13]]


def test_similar_pairs_in_small_blocks(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    owners = list(range(100, 140))
    expected = [[a + 100, b + 100] for a, b in np.argwhere(vectors @ vectors.T >= 0.8).tolist() if a < b]
    monkeypatch.setattr(grouping, "BLOCK", 1)
    assert grouping.similar_pairs(vectors, owners, 0.8).tolist() == expected


def test_components_join_over_all_kinds_of_pairs():
    values = grouping.same_value(["a", "", "b", "a", "", "b", "c"])
    assert values.tolist() == [[0, 3], [2, 5]]
    assert grouping.same_value(["a", "b", "a"], [4, 4, 6]).tolist() == [[4, 6]]
    members = grouping.components(7, [values, np.array([[3, 5]])])
    assert len({members[i] for i in (0, 2, 3, 5)}) == 1
    assert len(set(members)) == 4


def test_splits_are_stratified_and_do_not_depend_on_the_order():
    groups = [f"g{i // 2}" for i in range(400)]
    sources = ["large"] * 360 + ["small"] * 40
    splits = grouping.assign_splits(groups, sources, (0.8, 0.1, 0.1), seed=1)
    counts = Counter((source, splits[group]) for group, source in zip(groups, sources, strict=True))
    assert counts["large", "train"] == 288
    assert [counts["small", split] for split in ("train", "val", "test")] == [32, 4, 4]
    assert splits == grouping.assign_splits(groups[::-1], sources[::-1], (0.8, 0.1, 0.1), seed=1)
    assert splits != grouping.assign_splits(groups, sources, (0.8, 0.1, 0.1), seed=2)


def test_a_given_split_is_kept_and_a_crossing_group_moves_to_one_side():
    groups = ["a", "a", "a", "b", "c", "c", "d"]
    given = ["test", "test", "train", "val", "train", "test", ""]
    splits, moved = grouping.keep_splits(groups, given, dict.fromkeys("abcd", "train"))
    assert splits == {"a": "test", "b": "val", "c": "train", "d": "train"}
    assert moved == 2


def test_of_a_group_that_reaches_out_of_the_world_the_faces_elsewhere_go():
    sources = ["fake/new", "fake/new", "fake/old", "fake/old", "real/x"]
    groups = ["a", "b", "b", "c", "a"]
    assert grouping.set_aside(groups, sources, {"fake/new"}) == [True, True, False, True, False]
    assert grouping.set_aside(groups, sources, set()) == [True] * 5
    assert grouping.set_aside(groups, sources, {"fake/new", "fake/old"}) == [True, True, True, True, False]


def test_sources_are_set_aside_by_name_or_as_they_come():
    sources = ["fake/v0", "real/v0", "real/team", "real/team", "real/web"]
    given = ["", "train", "world", "world", "test"]
    assert grouping.world_sources(sources, given, []) == {"real/team"}
    assert grouping.world_sources(sources, given, ["v0"]) == {"fake/v0", "real/v0", "real/team"}
    assert grouping.world_sources(sources, given, ["fake/v0"]) == {"fake/v0", "real/team"}
    with pytest.raises(ValueError, match="no source nobody to set aside; there are fake/v0, real/team"):
        grouping.world_sources(sources, given, ["nobody"])
    partly = ["", "train", "world", "train", "test"]
    with pytest.raises(ValueError, match="real/team: only a part is in the split world; name it with --world"):
        grouping.world_sources(sources, partly, [])
    assert grouping.world_sources(sources, partly, ["team"]) == {"real/team"}
