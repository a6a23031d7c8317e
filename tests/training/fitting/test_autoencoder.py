"""A photograph and its copy differ in the decoder's traces and in nothing else, all the way into a batch."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio

from tests.full_disk import no_room
from training.augment import Delivery
from training.cli import main
from training.data import FaceFile, FaceStream, copy_path, read_opinions
from training.fitting.autoencoder import make_copies
from training.pseudo import COPIES, TinyAutoencoder, Upsampler, decoded_copy, load_autoencoder

BOX = (180.0, 60.0, 330.0, 250.0)
TAEF2 = Path("../shared/weights/taef2_autoencoder.safetensors")


@pytest.fixture
def photographs(tmp_path, astronaut) -> list[FaceFile]:
    path = tmp_path / "astronaut.jpg"
    Image.fromarray(astronaut).save(path, quality=90)
    photograph = FaceFile(path, "real", "many", "train", "a", BOX)
    fake = FaceFile(path, "fake", "made", "train", "f", BOX)
    return [photograph, fake, replace(photograph, split="test", source="held")]


@pytest.fixture
def copies(photographs, tmp_path) -> Path:
    assert make_copies(photographs, lambda picture: 255 - picture, tmp_path / "copies") == 1
    return tmp_path / "copies"


def test_copies_of_the_train_split_are_made_once_and_saved_as_photographs_are(photographs, copies):
    made = copy_path(copies, photographs[0])
    assert [path.name for path in copies.rglob("*.jpg")] == [made.name]
    with Image.open(made) as copy, Image.open(photographs[0].path) as photograph:
        assert copy.quantization == photograph.quantization
        assert copy.size == photograph.size
    make_copies(photographs, lambda _: pytest.fail("made again"), copies)


def test_on_a_full_disk_no_half_copy_stays(photographs, tmp_path):
    with no_room(1000), pytest.raises(OSError, match=r"astronaut\.jpg"):
        make_copies(photographs, lambda picture: picture, tmp_path / "copies")
    assert [path for path in (tmp_path / "copies").rglob("*") if path.is_file()] == []


def test_small_sources_are_copied_whole_where_the_number_is_limited(tmp_path, photographs):
    rows = [replace(photographs[0], source=source, path=tmp_path / f"{source}{k}.jpg")
            for source, count in (("large", 5), ("small", 1)) for k in range(count)]  # fmt: skip
    for row in rows:
        shutil.copy(photographs[0].path, row.path)
    make_copies(rows, lambda picture: picture, tmp_path / "copies", limit=3)
    assert sorted(path.name for path in (tmp_path / "copies").rglob("*.jpg")) == [
        "large0.jpg",
        "large1.jpg",
        "small0.jpg",
    ]


def test_the_two_of_a_pair_are_neighbours_and_delivered_alike(photographs, copies):
    shutil.copy(photographs[0].path, copy_path(copies, photographs[0]))  # A perfect decoder: no difference is left.
    stream = FaceStream(photographs[:2], [64] * 8, 8, 1.3, Delivery(), 3, copies=copies, pair_share=0.5)
    pairs = [(stream[k], stream[k + 1]) for k in range(0, len(stream), 2)]
    same = [torch.equal(first[0], second[0]) for first, second in pairs]
    assert 0.2 < np.mean(same) < 0.8
    assert all((first[1], second[1]) == (0, 1) for (first, second), alike in zip(pairs, same, strict=True) if alike)


def test_without_pairs_the_stream_is_what_it_was(photographs, copies):
    plain = FaceStream(photographs[:2], [32] * 4, 4, 1.3, Delivery(), 1)
    none = FaceStream(photographs[:2], [32] * 4, 4, 1.3, Delivery(), 1, copies=copies, pair_share=0.0)
    assert all(torch.equal(plain[k][0], none[k][0]) for k in range(len(plain)))
    with pytest.raises(ValueError, match="holds no copies"):
        FaceStream(photographs[1:2], [32], 4, 1.3, Delivery(), 1, copies=copies, pair_share=0.5)


def test_a_copy_is_whole_or_of_the_face_alone_and_keeps_its_shape(astronaut):
    rng, box = np.random.default_rng(0), np.array(BOX)
    kinds = [decoded_copy(astronaut, box, lambda picture: 255 - picture, rng) for _ in range(24)]
    changed = [float((copy[480:, :60] != astronaut[480:, :60]).mean()) for copy in kinds]
    assert {copy.shape for copy in kinds} == {astronaut.shape}
    assert sum(COPIES.values()) == pytest.approx(1)
    assert any(share == 0 for share in changed), "the face alone, or twice: the corner is as it was"
    assert any(share > 0.9 for share in changed)


@pytest.mark.parametrize("network", [TinyAutoencoder, Upsampler])
def test_both_autoencoders_are_told_apart_by_their_tensors(network, tmp_path, astronaut):
    save_file(network().half().state_dict(), tmp_path / "weights.safetensors")
    loaded = load_autoencoder(tmp_path / "weights.safetensors")
    assert type(loaded) is network
    assert loaded.round_trip(astronaut[:50, :37]).shape == (50, 37, 3)
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no autoencoder"):
        load_autoencoder(tmp_path / "other.safetensors")


@pytest.mark.skipif(not TAEF2.is_file(), reason="../shared/weights is not here")
def test_taef2_is_faithful_to_the_eye(grace):
    picture = cv2.resize(grace, (192, 224), interpolation=cv2.INTER_AREA)
    restored = load_autoencoder(TAEF2).round_trip(picture)
    assert 27 < peak_signal_noise_ratio(picture, restored) < 42


def test_a_teacher_moves_the_target_and_leaves_pairs_alone(photographs, copies, tmp_path):
    table = tmp_path / "teacher.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "p_fake"), ("real/many/astronaut.jpg", 0.6)])
    opinions = read_opinions(table)
    taught = FaceStream(photographs[:1], [32] * 4, 4, 1.3, Delivery(), 1, opinions=opinions, teacher_share=0.5)
    assert {taught[k][1] for k in range(len(taught))} == {0.3}
    paired = FaceStream(photographs[:1], [32] * 4, 4, 1.3, Delivery(), 1, copies=copies, pair_share=1.0,
                        opinions=opinions, teacher_share=0.5)  # fmt: skip
    assert [paired[k][1] for k in range(4)] == [0, 1, 0, 1]
    table.write_text("file,p_fake\na.jpg,1.5\n")
    with pytest.raises(ValueError, match="between 0 and 1"):
        read_opinions(table)


def test_the_command_makes_copies(data, tmp_path):
    save_file(Upsampler().state_dict(), tmp_path / "weights.safetensors")
    arguments = ["pairs", str(data), str(tmp_path / "out"), "--autoencoder", str(tmp_path / "weights.safetensors")]
    outcome = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "copies of 2 photographs" in outcome.output
