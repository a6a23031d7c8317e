"""The gate lets progress through, and nothing else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facecheck.error_rates import Budget
from facecheck.model.architectures import build
from facecheck.model.checkpoint import load_model, save_model
from facecheck.model.config import Criteria, Decision
from training.cli import main
from training.data import FaceFile, read_manifest, sampling_weights
from training.evaluation.summary import Difference, compare
from training.faces.grouping import without_crossing
from training.fitting.trainer import TrainConfig
from training.fitting.update import (
    Case,
    Dataset,
    Outcome,
    _losses,
    answered,
    criteria_of,
    mixed,
    read_cases,
    specificity,
    update,
    write_cases,
)

CONFIG = TrainConfig(steps=2, batch=4, phases=((1.0, 32),), warmup=1, workers=0, frozen=())


def test_train_runs_from_the_command_line(data, tmp_path):
    out = tmp_path / "run"
    arguments = [
        "train",
        str(data),
        str(out),
        "--preset",
        "mobilenet_v2",
        "--name",
        "t",
        "--steps",
        "2",
        "--batch",
        "2",
    ]
    arguments += ["--phase", "1", "32", "--unaudited", "--workers", "0", "--tensorboard"]
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    config = load_model(out).config
    assert config.training_data == ("fake/sc", "fake/sd", "real/sa", "real/sb")
    assert config.licence
    assert config.architecture == "mobilenet_v2"
    # Also of a run that is shorter than the space between two reports there is something to see.
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2]


def rows(label: str, source: str, count: int) -> list[FaceFile]:
    return [FaceFile(Path(f"{source}{i}"), label, source, "train", f"{source}{i}", (0, 0, 1, 1)) for i in range(count)]


def test_replay_gives_the_new_faces_their_share_of_their_class():
    old = rows("real", "a", 400) + rows("fake", "b", 300) + rows("fake", "c", 50)
    both, boost = mixed(old, rows("fake", "b", 20) + rows("fake", "d", 5), 0.3)
    weights = sampling_weights(both, boost)
    is_new = np.array([row.source.startswith("new:") for row in both])
    fake = np.array([row.label == "fake" for row in both])
    assert weights[is_new & fake].sum() / weights[fake].sum() == pytest.approx(0.3)
    assert weights[fake].sum() == pytest.approx(0.5)


def difference(low: float, high: float, metric: str = "auc") -> Difference:
    middle = (low + high) / 2
    return Difference("web", metric, 0.9, 0.9 + middle, middle, low, high, 0.5)


def outcome(**changes: object) -> Outcome:
    good = Outcome(Path("m"), (difference(-0.01, 0.02),), (difference(0.01, 0.03),), (), ())
    return replace(good, **changes)


def test_only_progress_without_losses_is_kept():
    assert outcome().refusals == []
    assert "Kept." in outcome().to_markdown()
    (reason,) = outcome(old=(difference(-0.03, -0.01),)).refusals
    assert reason == "auc fell by 0.0200 on the old data, tier web"
    (reason,) = outcome(new=(difference(-0.02, 0.01),)).refusals
    assert reason == "nothing became better on the new data"
    (reason,) = outcome(returned=(Case("ab" * 32, "real", "web", "m 1"),)).refusals
    assert reason == "case abababababab (real, web) is wrong again"
    assert outcome(old=(difference(-0.03, -0.01, "ece"),)).refusals == []
    (reason,) = outcome(old=(difference(-0.03, -0.01, "specificity"),)).refusals
    assert reason == "specificity fell by 0.0200 on the old data, tier web"
    assert "7 new faces were left out" in outcome(left_out=7).to_markdown()


def test_losses_are_those_of_the_paired_bootstrap(made_up):
    good, bad = made_up(shift=0.3), made_up(shift=0.1)
    assert {d.metric for d in _losses(compare(good, bad, rounds=100))} >= {"auc", "forced_choice"}
    assert _losses(compare(bad, good, rounds=100)) == []
    assert _losses(compare(good, good, rounds=100)) == []


def test_specificity_counts_the_photographs_that_are_accused(made_up):
    strict = made_up(shift=0.3)
    lax = replace(strict, threshold=np.full(len(strict), 0.4))
    (found,) = specificity(strict, lax)
    spared = [float((part.p_fake < part.threshold)[part.label == "real"].mean()) for part in (strict, lax)]
    assert (found.first, found.second) == pytest.approx(tuple(spared))
    assert found.difference == pytest.approx(spared[1] - spared[0])
    assert found.low < found.difference < found.high < 0
    # More fakes are caught at the lower threshold, so that nothing else tells.
    assert _losses([found]) == [found]


def test_a_budget_is_wished_for_again():
    budgets = (Budget(0.01, 0.9, 0.5, 0.4, 0.6), Budget(0.05, 0.7, 0.8, 0.7, 0.9))
    assert criteria_of(Decision(threshold=0.7, uncertain_to=0.7, budgets=budgets)).max_fpr == 0.05
    assert criteria_of(Decision(budgets=budgets)).max_fpr is None


def test_copies_of_old_faces_on_another_side_go_with_their_groups(data, tmp_path):
    old = {row.path.stem: row for row in read_manifest(data)}
    resaved = tmp_path / "resaved.jpg"
    Image.open(old["a-test"].path).resize((250, 250)).save(resaved, quality=60)
    new = [
        replace(old["a-test"], path=resaved, split="train", group="near"),
        replace(old["b-train"], group="near"),
        replace(old["c-train"], split="val", group="exact"),
        replace(old["d-train"], group="same side"),
    ]
    assert without_crossing(new, list(old.values())) == (new[3],)


def test_cases_name_the_wrong_files_and_survive_the_disk(tmp_path, row):
    from training.evaluation.scores import Scores

    for k in range(3):
        (tmp_path / f"{k}.jpg").write_bytes(bytes([k]))
    table = Scores.from_rows([
        row(0, "fake", 0.1, verdict="real"), row(1, "fake", 0.9), row(2, "real", 0.5, verdict="uncertain"),
    ])  # fmt: skip
    (wrong,) = answered(table, tmp_path, rightly=False)
    assert wrong == Case(hashlib.sha256(b"\x00").hexdigest(), "fake", "clean", "")
    assert [case.sha256 for case in answered(table, tmp_path, rightly=True)] == [hashlib.sha256(b"\x01").hexdigest()]
    named = replace(wrong, missed_by="m 1")
    write_cases(tmp_path / "cases.csv", [named, named])
    assert read_cases(tmp_path / "cases.csv") == [named]
    assert read_cases(tmp_path / "none.csv") == []


def test_an_update_is_trained_calibrated_and_judged(data, tiny_model, tmp_path):
    decision = Decision(threshold=0.7, uncertain_to=0.7, budgets=(Budget(0.5, 0.7, 0.8, 0.7, 0.9),))
    present = replace(tiny_model.config, decision=decision)
    weights = save_model(tiny_model.network, present, tmp_path / "model")
    old = Dataset(data, tuple(read_manifest(data)))
    seen = next(row for row in old.split("test") if row.label == "real")
    new = Dataset(data, (*old.rows, replace(seen, split="train", group="seen")))
    result = update(weights, old, new, CONFIG, tmp_path / "out", tiers=("clean",))
    made = load_model(result.model).config
    assert made.version == f"{tiny_model.config.version}+update"
    assert made.training_data == ("fake/sc", "fake/sd", "real/sa", "real/sb")
    assert made.decision.threshold == made.decision.budget(0.5).threshold
    assert {d.metric for d in result.old} >= {"auc", "balanced_accuracy", "forced_choice", "specificity"}
    assert result.left_out == 1
    # Neither with other faces nor with other weights is that run resumed.
    moved = replace(new, rows=tuple(replace(row, box=(100.0, 40.0, 231.0, 190.0)) for row in new.rows))
    with pytest.raises(ValueError, match=r"other settings \(other faces\)"):
        update(weights, old, moved, CONFIG, tmp_path / "out")
    other = save_model(build("tiny"), present, tmp_path / "other")
    with pytest.raises(ValueError, match=r"other settings \(other backbone\)"):
        update(other, old, new, CONFIG, tmp_path / "out")


def test_an_update_needs_new_faces_on_both_sides(data, tiny_model, tmp_path):
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    old = Dataset(data, tuple(read_manifest(data)))
    with pytest.raises(ValueError, match="train and its test split"):
        update(weights, old, Dataset(data, ()), CONFIG, tmp_path / "none")
    swapped = {"train": "test", "test": "train", "val": "val"}
    crossed = Dataset(data, tuple(replace(row, split=swapped[row.split]) for row in old.rows))
    with pytest.raises(ValueError, match=r"8 of the 12 faces .* copies of faces in another split"):
        update(weights, old, crossed, CONFIG, tmp_path / "none")


def test_update_from_the_command_line_remembers_mistakes(data, tiny_model, tmp_path):
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    arguments = ["update", str(weights), str(data), str(tmp_path / "out"), "--replay", str(data), "--steps", "2"]
    arguments += ["--batch", "4", "--side", "32", "--tier", "clean", "--workers", "0"]
    arguments += ["--cases", str(tmp_path / "cases.csv")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (0, 1), done.output
    assert ("Kept." in done.output) == (done.exit_code == 0)
    assert (tmp_path / "out" / "update.md").read_text() in done.output
    wrong = read_cases(tmp_path / "cases.csv")
    assert all(case.missed_by == "tiny 0" for case in wrong)


def test_nothing_is_learned_that_rates_are_measured_on(with_world, tiny_model, tmp_path):
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    old = Dataset(with_world, tuple(read_manifest(with_world)))
    assert {row.split for row in old.judged()} == {"world"}
    taken = tuple(
        replace(row, source="unseen-a") if row.split == "train" and row.label == "real" else row for row in old.rows
    )
    with pytest.raises(ValueError, match="real/unseen-a would be learned from and stand in the split world"):
        update(weights, old, Dataset(with_world, taken), CONFIG, tmp_path / "none")


def test_a_candidate_is_calibrated_and_judged_on_unseen_sources(with_world, tiny_model, tmp_path):
    config = replace(tiny_model.config, decision=Decision(fitted_on="world", criteria=Criteria(uncertain_share=0.3)))
    weights = save_model(tiny_model.network, config, tmp_path / "model")
    data = Dataset(with_world, tuple(read_manifest(with_world)))
    result = update(weights, data, data, CONFIG, tmp_path / "out", tiers=("clean",))
    made = load_model(result.model).config.decision
    assert (made.fitted_on, made.criteria) == ("world", Criteria(uncertain_share=0.3))
