"""Observations are reused by the weights that made them, whatever the decision, and survive a kill."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from facecheck import calibration
from facecheck.checker import FaceChecker
from facecheck.model.architectures import build
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision, Knot, Limits
from training.crossfit import Judges, decide
from training.data import FaceFile, read_manifest
from training.evaluation import observations
from training.evaluation.observations import RANDOM, SMALL, deliver, observe
from training.evaluation.scores import score_tiers


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
    judged = observations._judged

    def noted(checker, todo, delivery):
        names.extend(row.path.name for row in todo.values())
        return judged(checker, todo, delivery)

    monkeypatch.setattr(observations, "_judged", noted)
    return names


@pytest.fixture
def present(tiny_model) -> Model:
    return replace(tiny_model, config=replace(tiny_model.config, sha256="a" * 64))


def logits(model, rows, folder, delivery=RANDOM):
    return observe(model, rows, (delivery,), folder, "cpu").logit.tolist()


def test_other_weights_begin_anew_and_another_decision_does_not(rows, asked, present, tmp_path):
    first = logits(present, rows, tmp_path)
    assert asked == ["0.jpg", "1.jpg", "2.jpg"]
    accused = Decision(threshold=0.0, uncertain_from=0.0, uncertain_to=0.0)
    other = replace(present, config=replace(present.config, decision=accused, limits=Limits(min_face_px=1e6)))
    assert logits(other, rows, tmp_path) == first
    assert len(asked) == 3
    torch.manual_seed(7)
    assert logits(Model(build("tiny").eval(), replace(present.config, sha256="b" * 64)), rows, tmp_path) != first
    assert len(asked) == 6


def test_a_file_is_found_again_by_its_content_and_its_box(rows, asked, present, tmp_path):
    before = logits(present, rows, tmp_path)
    asked.clear()
    moved = rows[0].path.rename(tmp_path / "moved.jpg")
    changed = [replace(rows[0], path=moved, label="fake"), replace(rows[1], box=(100.0, 60.0, 280.0, 250.0)), rows[2]]
    after = logits(present, changed, tmp_path)
    assert asked == ["1.jpg"]
    assert (after[0], after[2]) == (before[0], before[2])


def test_a_call_stopped_anywhere_goes_on(rows, asked, present, tmp_path):
    whole = logits(present, rows, tmp_path)
    (ledger,) = tmp_path.glob("*-random.jsonl")
    lines = ledger.read_bytes().splitlines(keepends=True)
    # Before the first line, in the middle of one, and in the last character of one.
    for kept, missing in ((b"", 3), (lines[0] + lines[1][:20], 2), (b"".join(lines[:3])[:-2], 1)):
        ledger.write_bytes(kept)
        asked.clear()
        assert logits(present, rows, tmp_path) == whole
        assert len(asked) == missing


def test_weights_without_a_hash_are_not_kept(rows, asked, tiny_model, tmp_path):
    bare = replace(tiny_model, config=replace(tiny_model.config, sha256=""))
    for _ in range(2):
        logits(bare, rows[:1], tmp_path)
    assert len(asked) == 2
    assert not list(tmp_path.glob("*.jsonl"))


def test_verdicts_from_observations_are_those_of_the_pipeline(present, data, tmp_path):
    rows = [row for row in read_manifest(data) if row.split == "test"]
    decision = Decision(1.3, 0.55, 0.5, 0.62, 0.2, (Knot(32, 1.2, 0.1), Knot(128, 0.9, -0.1)))
    model = replace(present, config=replace(present.config, decision=decision, limits=Limits(min_face_px=150)))
    expected = score_tiers(FaceChecker(model, device="cpu", engine="torch"), rows, data, ["clean", "hard"])
    observed = observe(model, rows, ("clean", "hard"), tmp_path, "cpu")
    found = decide(observed, Judges.one(decision, rows), model.config.limits, data)
    assert found.p_fake == pytest.approx(expected.p_fake, abs=1e-6)
    for column in ("file", "tier", "verdict", "detected", "threshold", "source"):
        assert getattr(found, column).tolist() == getattr(expected, column).tolist()
    assert "uncertain" in found.verdict.tolist()
    other = replace(decision, bias=3.0)
    turns = np.array([0, 1, 0, 1])
    mixed = decide(observed, Judges((decision, other), turns, True), Limits(), data)
    for k, row in enumerate(rows):
        mine = (observed.file == k) & (observed.delivery == "clean")
        scores = calibration.p_fake(observed.logit[mine], (decision, other)[k % 2], observed.face_px[mine])
        assert mixed.p_fake[mixed.file == row.path.relative_to(data).as_posix()][0] == pytest.approx(max(scores))


def test_deliveries_depend_on_the_file_alone(astronaut, rows, present, tmp_path):
    sent = [deliver(astronaut, (120.0, 60.0, 280.0, 250.0), np.random.default_rng(5)) for _ in range(2)]
    assert (sent[0][0] == sent[1][0]).all()
    place = sent[0][1]
    assert max(place[2:] - place[:2]) <= 191
    alone = logits(present, rows[2:], tmp_path / "alone", SMALL)
    assert alone == pytest.approx(logits(present, rows, tmp_path / "all", SMALL)[2:], abs=1e-4)
    entries = [
        json.loads(line) for path in (tmp_path / "all").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert all(23 <= entry["faces"][0][1] <= 130 for entry in entries)
