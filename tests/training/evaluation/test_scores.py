"""A table comes back as written, it is what the pipeline says, and other people's scores are joined or refused."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.model.config import Limits
from training.augment import TIERS, delivered
from training.data import FaceFile, read_manifest
from training.evaluation.scores import Scores, is_scores, read_scores, score, score_tiers


@pytest.fixture
def rows(data):
    return [row for row in read_manifest(data) if row.split == "test"]


def written(folder, text, name="theirs.csv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def table(lines):
    return "file,p_fake\n" + "\n".join(lines)


ALL = ["real/a-test.jpg,0.1", "real/b-test.jpg,0.7", "fake/c-test.jpg,0.4", "fake/d-test.jpg,0.9"]


def test_a_table_survives_the_trip_through_csv(data, rows):
    scores = read_scores(written(data, table(ALL)), rows, data)
    again = read_scores(written(data, scores.to_csv(), "again.csv"))
    for field in fields(Scores):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(scores, field.name))


def test_scores_are_joined_with_the_manifest(data, rows):
    scores = read_scores(written(data, table(["not/mine.jpg,1", *reversed(ALL)])), rows, data)
    assert scores.p_fake.tolist() == [0.9, 0.4, 0.7, 0.1]
    assert scores.strata.tolist() == ["fake/sd", "fake/sc", "real/sb", "real/sa"]
    assert scores.forced_choice.tolist() == [1, 0, 0, 1]
    assert scores.credit.tolist() == [1, 0, 0, 1]
    strict = read_scores(data / "theirs.csv", rows, data, threshold=0.8)
    assert strict.forced_choice.tolist() == [1, 0, 1, 1]


def test_their_verdicts_and_tiers_count(data, rows):
    verdicts = ("real", "uncertain", "no_face", "fake")
    lines = [
        f"{line},{tier},{verdict}" for tier in ("clean", "web") for line, verdict in zip(ALL, verdicts, strict=True)
    ]
    scores = read_scores(written(data, "file,p_fake,tier,verdict\n" + "\n".join(lines)), rows, data)
    assert list(scores.by_tier()) == ["clean", "web"]
    assert scores.by_tier()["web"].credit.tolist() == [1, 0.5, 0.5, 1]


def test_a_folder_has_a_file_for_each_tier(data, rows):
    for tier in ("hard", "web"):
        path = written(data / "theirs", table(ALL), f"{tier}.csv")
    assert is_scores(path.parent)
    assert is_scores(path)
    assert not is_scores(data / "real")
    assert set(read_scores(path.parent, rows, data).by_tier()) == {"hard", "web"}


def test_confidence_is_the_distance_from_the_threshold(data, rows):
    scores = read_scores(written(data, table(ALL)), rows, data, threshold=0.7)
    assert scores.confidence[1] == 0
    assert scores.confidence[0] == pytest.approx(np.log(0.7 / 0.3) - np.log(0.1 / 0.9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table(ALL[:3]), "no score for 1 files of tier 'clean', for example 'fake/d-test.jpg'"),
        (table([*ALL, ALL[0]]), "twice"),
        (table([*ALL[:3], "fake/d-test.jpg,1.2"]), "'1.2'; it must be a number from 0 to 1"),
        (table([*ALL[:3], "fake/d-test.jpg,nan"]), "'nan'"),
        ("file,score\nx,1", "no column p_fake"),
        ("file,p_fake", "no score for 4 files"),
        ("file,p_fake,verdict\nreal/a-test.jpg,0.5,perhaps", "perhaps"),
    ],
)
def test_what_cannot_be_meant_is_refused(data, rows, text, message):
    with pytest.raises(ValueError, match=message):
        read_scores(written(data, text), rows, data)


def test_without_a_manifest_the_label_must_be_there(tmp_path):
    with pytest.raises(ValueError, match="label is ''"):
        read_scores(written(tmp_path, table(ALL)))


def test_tiers_reduce_and_compress_as_they_say(grace_path):
    data = grace_path.read_bytes()
    assert delivered(data, "clean") == data
    large = io.BytesIO()
    Image.open(grace_path).resize((1600, 1200)).save(large, "JPEG", quality=95)
    for tier, side in (("web", 768), ("hard", 512)):
        assert max(Image.open(io.BytesIO(delivered(large.getvalue(), tier))).size) == side
        reference = io.BytesIO()
        Image.new("L", (8, 8)).convert("RGB").save(reference, "JPEG", quality=TIERS[tier][1])
        tables = Image.open(io.BytesIO(delivered(data, tier))).quantization
        assert tables == Image.open(reference).quantization


def test_scores_are_those_of_the_checker_and_missed_faces_use_the_known_box(checker, data):
    rows = [row for row in read_manifest(data) if row.split == "test"]
    scored = list(score(checker, rows, "clean"))
    assert [item.detected for item in scored] == [True, True, False, True]
    assert scored[0].prediction.p_fake == pytest.approx(checker.predict(rows[0].path).p_fake, abs=1e-5)
    assert scored[2].prediction.faces[0].box == rows[2].box


def test_an_unreadable_file_stops_the_evaluation(checker, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"a\.jpg"):
        list(score(checker, [FaceFile(tmp_path / "a.jpg", "real", "s", "test", "1", (0, 0, 1, 1))], "clean"))


def test_uncertain_counts_half(tiny_model, detector, data):
    rows = [row for row in read_manifest(data) if row.split == "test"]
    unsure = replace(tiny_model, config=replace(tiny_model.config, limits=Limits(min_face_px=1e6)))
    table = score_tiers(FaceChecker(unsure, device="cpu", detector=detector), rows, data, ["clean"])
    assert table.credit.tolist() == [0.5] * 4
    assert set(table.forced_choice.tolist()) <= {0.0, 1.0}
    assert table.file.tolist() == [f"{name}-test.jpg" for name in ("real/a", "real/b", "fake/c", "fake/d")]
    assert table.detected.tolist() == [True, True, False, True]
    assert 50 < table.face_px.min() <= table.face_px.max() < 300
