"""The layouts people have, written out as small as they come."""

import json
from collections import Counter
from pathlib import Path

import pytest

from training.faces.layouts import Defaults, LayoutError, recognise
from training.faces.names import label_in, slug


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def facts(root: Path, told: Defaults | None = None) -> dict[str, tuple]:
    found = recognise(root, told)
    return {
        str(photo.path.relative_to(root)): (photo.label, photo.source, photo.generator, photo.split)
        for photo in found.photos
    }


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Real Images", "real"), ("AI-Generated Images", "fake"), ("training_fake", "fake"), ("1_fake", "fake"),
        ("REAL", "real"), ("real-vs-fake", ""), ("real_vs_fake", ""), ("ai-or-not", ""), ("aiornot", ""),
        ("portraits", ""), ("realistic", ""), ("chair", ""),
    ],
)  # fmt: skip
def test_names_of_classes(name, label):
    assert label_in(name) == label


def test_a_slug_is_a_safe_folder_name():
    assert slug("../My Photos (2)") == "my-photos-2"
    assert slug("写真") == "unnamed"


KAGGLE_ROWS = """\
,original_path,id,label,label_str,path
0,/k/1.jpg,31355,1,real,train/real/1.jpg
1,/k/2.jpg,2,0,fake,train/fake/2.jpg
"""


@pytest.mark.parametrize("with_table", [True, False])
def test_kaggle_140k_where_one_means_real(tmp_path, with_table):
    put(tmp_path, *(f"real_vs_fake/real-vs-fake/train/{name}" for name in ("real/1.jpg", "fake/2.jpg")))
    if with_table:
        (tmp_path / "train.csv").write_text(KAGGLE_ROWS)
    base = "real_vs_fake/real-vs-fake/train/"
    assert facts(tmp_path) == {
        base + "real/1.jpg": ("real", "140k", "", "train"),
        base + "fake/2.jpg": ("fake", "140k", "StyleGAN", "train"),
    }


def test_kaggle_140k_given_by_its_inner_folder(tmp_path):
    put(tmp_path, "real-vs-fake/valid/fake/2.jpg", "real-vs-fake/test/real/2.jpg")
    assert set(facts(tmp_path / "real-vs-fake").values()) == {
        ("fake", "140k", "StyleGAN", "val"), ("real", "140k", "", "test")
    }  # fmt: skip


def test_aiornot_where_one_means_fake(tmp_path):
    put(tmp_path, "train/10.jpg", "train/11.jpg", "test/99.jpg")
    (tmp_path / "train.csv").write_text("id,label\n10.jpg,1\n11,0\n")
    (tmp_path / "sample_submission.csv").write_text("id,label\n99.jpg,1\n")
    labels = {name: fact[0] for name, fact in facts(tmp_path).items()}
    assert labels == {"train/10.jpg": "fake", "train/11.jpg": "real"}


def test_human_faces(tmp_path):
    root = tmp_path / "Human Faces Dataset"
    put(root, "Real Images/1.jpg", "AI-Generated Images/1.jpg")
    assert {name: fact[:2] for name, fact in facts(root).items()} == {
        "Real Images/1.jpg": ("real", "human-faces-dataset"),
        "AI-Generated Images/1.jpg": ("fake", "human-faces-dataset"),
    }


def test_cifake(tmp_path):
    root = tmp_path / "CIFAKE"
    put(root, "train/REAL/0.png", "test/FAKE/0.png")
    assert facts(root) == {
        "train/REAL/0.png": ("real", "cifake", "", "train"),
        "test/FAKE/0.png": ("fake", "cifake", "Stable Diffusion 1.4", "test"),
    }


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_hugging_face_metadata(tmp_path, suffix):
    put(tmp_path, "train/a.png", "validation/b.png")
    rows = [("train", "a.png", "fake"), ("validation", "b.png", "real")]
    for split, name, label in rows:
        text = f"file_name,label\n{name},{label}\n" if suffix == "csv" else json.dumps(
            {"file_name": name, "label": label}) + "\n"  # fmt: skip
        (tmp_path / split / f"metadata.{suffix}").write_text(text)
    assert {name: (fact[0], fact[3]) for name, fact in facts(tmp_path).items()} == {
        "train/a.png": ("fake", "train"), "validation/b.png": ("real", "val")
    }  # fmt: skip


def test_numbers_without_a_meaning_are_refused_until_told(tmp_path):
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\na.png,0\nb.png,1\n")
    with pytest.raises(LayoutError, match=r"(?s)2 pictures.*a\.png \(label '0'\).*--fake-is"):
        recognise(tmp_path)
    assert {name: fact[0] for name, fact in facts(tmp_path, Defaults(fake_is="0")).items()} == {
        "a.png": "fake", "b.png": "real"
    }  # fmt: skip


def test_our_own_manifest_keeps_what_it_knows(tmp_path):
    put(tmp_path, "real/web/1.jpg")
    (tmp_path / "manifest.csv").write_text(
        "file,label,source,generator,split,group,x0,y0,x1,y1,age,gender,ethnicity,licence\n"
        "real/web/1.jpg,real,web,,val,77,1.5,2,30,40,31,female,,CC0\n"
    )
    (photo,) = recognise(tmp_path).photos
    assert (photo.source, photo.split, photo.box, photo.licence) == ("web", "val", (1.5, 2.0, 30.0, 40.0), "CC0")
    assert (photo.age, photo.gender, photo.ethnicity) == ("31", "female", "")
    assert photo.group.endswith(":77")


def test_a_data_generation_export(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png")
    row = {"label": "fake", "model": "SDXL", "licence": "OpenRAIL", "prompt_id": "p1", "accepted": True}
    rows = [{**row, "file": "1.png"}, {**row, "file": "2.png", "accepted": False}, {**row, "file": "3.png"}]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = recognise(tmp_path)
    assert [photo.path.name for photo in found.photos] == ["1.png", "3.png"]
    assert {(photo.generator, photo.licence) for photo in found.photos} == {("SDXL", "OpenRAIL")}
    assert found.photos[0].group == found.photos[1].group != ""
    assert [(path.name, reason) for path, reason in found.skipped] == [("2.png", "not_accepted")]


def test_folders_below_the_class_name_sources_and_generators(tmp_path):
    put(tmp_path, "fake/SDXL/1.png", "fake/00001/2.png", "real/web/3.png")
    counts = Counter(fact[:3] for fact in facts(tmp_path).values())
    assert counts[("fake", "sdxl", "SDXL")] == counts[("real", "web", "")] == 1
    assert sum(counts.values()) == 3


def test_a_folder_of_photos_says_nothing_alone_but_beside_fakes_it_does(tmp_path):
    put(tmp_path, "set/photos/1.jpg")
    with pytest.raises(LayoutError, match="--label real"):
        recognise(tmp_path / "set")
    assert set(facts(tmp_path / "set", Defaults("fake", "mine", "GAN")).values()) == {("fake", "mine", "GAN", "")}
    put(tmp_path, "set/generated/1.jpg")
    assert [fact[0] for _, fact in sorted(facts(tmp_path / "set").items())] == ["fake", "real"]


def test_a_table_cannot_reach_outside_its_folder(tmp_path):
    put(tmp_path, "secret.png", "set/a.png")
    (tmp_path / "set" / "manifest.csv").write_text("file,label\n../secret.png,real\n")
    with pytest.raises(LayoutError, match="outside its folder"):
        recognise(tmp_path / "set")


def test_an_empty_folder_and_broken_lines_are_explained(tmp_path):
    with pytest.raises(LayoutError, match="no picture found"):
        recognise(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"file": \n')
    with pytest.raises(LayoutError, match="line 1: not JSON"):
        recognise(tmp_path)
