"""What is left out is not trained on, and the numbers are scikit-learn's."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from facecheck.model.config import ModelConfig
from training.augment import Delivery
from training.data import FaceFile
from training.fitting.trainer import TrainConfig
from training.unseen.features import LinearProbe
from training.unseen.logo import GENERATOR, REAL_SOURCE, FineTuned, held_markdown, leave_one_out


@pytest.fixture
def rows() -> list[FaceFile]:
    """40 files each of two sources of photographs and two generators; every fourth file is test, every fifth val."""
    made = []
    for label, source, generator in (
        ("real", "street", ""), ("real", "studio", ""), ("fake", "gan", "G"), ("fake", "sd", "D"),
    ):  # fmt: skip
        for i in range(40):
            split = "test" if i % 4 == 0 else "val" if i % 5 == 0 else "train"
            made.append(FaceFile(Path(f"{source}{i}"), label, source, split, f"{source}{i}", (0, 0, 1, 1), generator))
    return made


def test_the_held_out_name_and_its_groups_are_never_trained_on(rows):
    twin = FaceFile(Path("twin"), "real", "street", "train", "gan3", (0, 0, 1, 1))
    rows = [*rows, twin]
    asked = []

    def score(train, test):
        asked.append((train, test))
        return np.array([float(row.target) for row, is_in in zip(rows, test, strict=True) if is_in])

    held = leave_one_out(rows, score, GENERATOR)
    assert [(h.name, h.faces, h.auc, h.rate) for h in held] == [("D", 40, 1.0, 1.0), ("G", 40, 1.0, 1.0)]
    for name, (train, test) in zip("DG", asked, strict=True):
        for row, trained, tested in zip(rows, train, test, strict=True):
            assert not (trained and (row.generator == name or row.split != "train"))
            assert tested == (row.generator == name or (row.label == "real" and row.split == "test"))
            assert not (trained and tested)
    assert not asked[1][0][-1]  # The twin shares a group with a held-out fake.
    assert asked[0][0][-1]


def test_false_alarms_of_an_unseen_source_are_counted_at_the_others_threshold(rows):
    def score(train, test):
        rng = np.random.default_rng(0)
        suspicious = {"studio": 2.0, "street": 0.0}
        return np.array([
            suspicious.get(row.source, 1.0) + rng.normal(0, 0.01)
            for row, is_in in zip(rows, test, strict=True) if is_in
        ])  # fmt: skip

    street, studio = leave_one_out(rows, score, REAL_SOURCE)
    assert (street.rate, street.auc) == (0.0, 1.0)
    assert (studio.rate, studio.auc) == (1.0, 0.0)
    text = held_markdown([street, studio])
    assert "| studio | 40 | 0.0000" in text
    assert "| **mean** | 80 | **0.5000** | **0.500** |" in text


def test_the_probe_learns_from_the_train_rows_alone(rows):
    rng = np.random.default_rng(1)
    targets = np.array([row.target for row in rows])
    train = np.array([row.split == "train" for row in rows])
    features = rng.normal(0, 1, (len(rows), 6)).astype(np.float16)
    features[:, 2] += 3 * targets
    # Outside the train rows column 4 would give the class away; nobody may have looked.
    features[~train, 4] += 100 * targets[~train]
    probe = LinearProbe(rows, [features, features], features, strength=1.0)
    assert roc_auc_score(targets[~train], probe(train, ~train)) > 0.9
    shuffled = features.copy()
    shuffled[:, 2] = rng.normal(0, 1, len(rows))
    blind = LinearProbe(rows, [shuffled], np.where(np.arange(6) == 4, 0, shuffled).astype(np.float16))
    assert roc_auc_score(targets[~train], blind(train, ~train)) < 0.75


def test_unknown_names_are_refused(rows):
    with pytest.raises(ValueError, match=r"no generator named \['DALL-E'\]; there are \['D', 'G'\]"):
        leave_one_out(rows, lambda train, test: np.zeros(0), GENERATOR, ["DALL-E"])


@pytest.fixture
def pictured(rows, tmp_path, astronaut) -> list[FaceFile]:
    """The rows with pictures: fakes are bright."""
    made = []
    for row in rows[::4] + rows[1::4] + rows[5::20]:
        path = tmp_path / f"{row.path}.png"
        cv2.imwrite(str(path), (astronaut[::4, ::4, ::-1] * (1.0 if row.target else 0.3)).astype(np.uint8))
        box = (40.0, 15.0, 85.0, 65.0)
        made.append(FaceFile(path, row.label, row.source, row.split, row.group, box, row.generator))
    return made


def test_fine_tuning_holds_out_too_and_resumes(pictured, tmp_path, monkeypatch):
    config = TrainConfig(
        steps=60, batch=8, phases=((1.0, 32),), lr=0.02, fresh_lr=0.02, warmup=2, ema=0.8, workers=0, frozen=(),
        delivery=Delivery(colour=0, grey=0, erase=0),
    )  # fmt: skip
    score = FineTuned(pictured, ModelConfig("t", "0", "tiny", input_size=32), config, None, tmp_path / "runs")
    (held,) = leave_one_out(pictured, score, GENERATOR, ["G"])
    assert held.auc > 0.9
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert leave_one_out(pictured, score, GENERATOR, ["G"]) == [held]
