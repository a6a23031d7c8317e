"""A table comes back as it was written, and other people's scores are joined, checked, or refused."""

from dataclasses import fields

import numpy as np
import pytest

from training.data import read_manifest
from training.evaluation.scores import Scores, is_scores, read_scores


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
