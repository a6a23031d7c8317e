"""Rows, weights and a stream that does not depend on where it was cut."""

import csv
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from training.augment import Delivery
from training.data import FaceFile, FaceStream, judged_split, read_manifest, read_rgb, sampling_weights

COLUMNS = ("file", "label", "source", "split", "group", "x0", "y0", "x1", "y1")


def write_manifest(folder, rows):
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def row(name: str = "a.png", label: str = "real", split: str = "train", group: str = "1") -> tuple:
    return (name, label, "camera", split, group, 10, 10, 50, 60)


def test_a_manifest_is_read(tmp_path):
    write_manifest(tmp_path, [row(), row("b.png", "fake", group="2")])
    first, second = read_manifest(tmp_path)
    assert first == FaceFile(tmp_path / "a.png", "real", "camera", "train", "1", (10.0, 10.0, 50.0, 60.0))
    assert (first.target, second.target) == (0, 1)


def test_a_group_in_two_splits_is_refused(tmp_path):
    write_manifest(tmp_path, [row(), row("b.png", split="test")])
    with pytest.raises(ValueError, match="more than one split"):
        read_manifest(tmp_path)


def test_an_unknown_label_is_refused(tmp_path):
    write_manifest(tmp_path, [row(label="0")])
    with pytest.raises(ValueError, match="'real' or 'fake'"):
        read_manifest(tmp_path)


def test_an_unreadable_face_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"cannot read .*a\.png"):
        read_rgb(tmp_path / "a.png")


@pytest.fixture
def rows(tmp_path, astronaut):
    cv2.imwrite(str(tmp_path / "a.png"), astronaut[::4, ::4, ::-1])
    names = [("real", "big")] * 90 + [("real", "small")] * 10 + [("fake", "only")] * 25
    return [
        FaceFile(tmp_path / "a.png", label, s, "train", str(i), (40, 15, 85, 65)) for i, (label, s) in enumerate(names)
    ]


def test_classes_weigh_the_same_and_sources_by_the_root_of_their_size(rows):
    weights = Counter()
    for weight, item in zip(sampling_weights(rows), rows, strict=True):
        weights[item.label, item.source] += weight
    assert weights["fake", "only"] == pytest.approx(0.5)
    assert weights["real", "big"] + weights["real", "small"] == pytest.approx(0.5)
    assert weights["real", "big"] / weights["real", "small"] == pytest.approx(3.0)


def test_a_boosted_source_is_seen_more_often_and_the_classes_stay_equal(rows):
    weights = Counter()
    for weight, item in zip(sampling_weights(rows, {"real/small": 3.0}), rows, strict=True):
        weights[item.label, item.source] += weight
    assert weights["real", "big"] / weights["real", "small"] == pytest.approx(1.0)
    assert weights["fake", "only"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no such sources"):
        sampling_weights(rows, {"real/unknown": 2.0})


def test_a_resumed_stream_goes_on_where_it_was(rows):
    whole = FaceStream(rows, [32] * 2 + [48] * 2, 3, 1.3, Delivery(), seed=1)
    resumed = FaceStream(rows, [32] * 2 + [48] * 2, 3, 1.3, Delivery(), seed=1, start_step=2)
    assert len(whole) == 12
    assert len(resumed) == 6
    for position in range(6):
        (face, target), (again, same) = whole[6 + position], resumed[position]
        np.testing.assert_array_equal(face, again)
        assert face.shape == (3, 48, 48)
        assert target == same


def test_the_stream_draws_by_the_weights(rows):
    stream = FaceStream(rows, [16] * 400, 1, 1.3, Delivery(), seed=0)
    assert np.mean([stream[i][1] for i in range(400)]) == pytest.approx(0.5, abs=0.08)


def test_processes_share_every_batch(tmp_path, astronaut):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), astronaut[::4, ::4])
    rows = [FaceFile(path, label, "s", "train", label, (40, 15, 85, 65)) for label in ("real", "fake")]

    def faces(**where: object) -> list[torch.Tensor]:
        stream = FaceStream(rows, [16] * 5, 6, 1.3, Delivery(), seed=1, **where)
        return [stream[i][0] for i in range(len(stream))]

    whole = faces(start_step=2)
    parts = [faces(start_step=2, share=(rank, 2)) for rank in (0, 1)]
    assert len(whole) == 18
    for step in range(3):
        together = parts[0][step * 3 : step * 3 + 3] + parts[1][step * 3 : step * 3 + 3]
        for one, other in zip(together, whole[step * 6 : step * 6 + 6], strict=True):
            assert torch.equal(one, other)


def test_what_a_manifest_says_of_people_and_generators_is_kept(tmp_path):
    head = "file,label,source,split,group,x0,y0,x1,y1"
    (tmp_path / "manifest.csv").write_text(
        f"{head},generator,age,gender,ethnicity\na.jpg,fake,s,test,1,0,0,1,1,GAN,30,,x"
    )
    (row,) = read_manifest(tmp_path)
    assert (row.generator, row.age, row.gender, row.ethnicity) == ("GAN", "30", "", "x")
    (tmp_path / "manifest.csv").write_text(f"{head}\na.jpg,fake,s,test,1,0,0,1,1")
    assert read_manifest(tmp_path)[0].generator == ""


def test_a_source_of_the_world_stands_in_no_other_split(with_world):
    rows = read_manifest(with_world)
    assert judged_split(rows, "test") == "world"
    assert judged_split([row for row in rows if row.split != "world"], "test") == "test"
    assert judged_split([row for row in rows if row.label == "real"], "val") == "val"
    manifest = with_world / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",unseen-a,", ",sa,"))
    with pytest.raises(ValueError, match="world must hold whole sources; real/sa stand in another split too"):
        read_manifest(with_world)
