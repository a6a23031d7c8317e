"""Judgements of delivered faces are reused by the model and the decision that made them, and survive a kill."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.model.architectures import build
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision
from training.data import FaceFile
from training.evaluation import random_delivery as hardship
from training.evaluation.random_delivery import judge_delivered, read_judged_faces


@pytest.fixture
def rows(tmp_path, astronaut) -> list[FaceFile]:
    """Three files of one face."""
    made = []
    for index, label in enumerate(("real", "fake", "real")):
        path = tmp_path / f"{index}.jpg"
        Image.fromarray(astronaut[: 400 + index, 50:400]).save(path)
        made.append(FaceFile(path, label, "s", "val", str(index), (120.0, 60.0, 280.0, 250.0)))
    return made


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The files that were really judged."""
    names: list[str] = []
    judged = hardship._judged

    def noted(checker, rows, chosen):
        names.extend(chosen)
        return judged(checker, rows, chosen)

    monkeypatch.setattr(hardship, "_judged", noted)
    return names


@pytest.fixture
def present(tiny_model) -> Model:
    return replace(tiny_model, config=replace(tiny_model.config, sha256="a" * 64))


def other_weights(present: Model) -> Model:
    torch.manual_seed(7)
    return Model(build("tiny").eval(), replace(present.config, sha256="b" * 64))


def other_threshold(present: Model) -> Model:
    accused = Decision(threshold=0.0, uncertain_from=0.0, uncertain_to=0.0)
    return replace(present, config=replace(present.config, decision=accused))


@pytest.mark.parametrize("other", [other_weights, other_threshold])
def test_another_model_or_decision_begins_anew(rows, asked, present, other, detector, tmp_path):
    target = tmp_path / "val.csv"
    first, second = (
        FaceChecker(model, device="cpu", detector=detector, engine="torch") for model in (present, other(present))
    )
    judge_delivered(first, rows, tmp_path, target)
    judge_delivered(second, rows, tmp_path, tmp_path / "fresh.csv")
    asked.clear()
    judge_delivered(second, rows, tmp_path, target)
    assert asked == ["0.jpg", "1.jpg", "2.jpg"]
    assert target.read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    judge_delivered(second, rows, tmp_path, target)
    assert len(asked) == 3


def test_a_file_with_another_label_is_judged_again(rows, asked, present, detector, tmp_path):
    checker, target = FaceChecker(present, device="cpu", detector=detector, engine="torch"), tmp_path / "val.csv"
    before = judge_delivered(checker, rows, tmp_path, target)
    asked.clear()
    after = judge_delivered(checker, [replace(rows[0], label="fake"), *rows[1:]], tmp_path, target)
    assert asked == ["0.jpg"]
    assert after[0].wrong == 1 - before[0].wrong


def test_a_run_stopped_anywhere_goes_on(rows, asked, present, detector, tmp_path):
    checker, target = FaceChecker(present, device="cpu", detector=detector, engine="torch"), tmp_path / "val.csv"
    judge_delivered(checker, rows, tmp_path, target)
    whole = target.read_bytes()
    lines = whole.splitlines(keepends=True)
    # In the header, after it, in the middle of a line, and in the last number of one.
    for kept in (lines[0][:9], lines[0], b"".join(lines[:2]) + lines[2][:20], b"".join(lines[:3])[:-4]):
        target.write_bytes(kept)
        asked.clear()
        judge_delivered(checker, rows, tmp_path, target)
        assert target.read_bytes() == whole
        assert len(asked) == (3 if len(kept) <= len(lines[0]) else 2)
        assert len(read_judged_faces(target)) == 3
