"""Training learns, resumes to the same numbers, and leaves a model that the library loads."""

import csv
import json
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

from facecheck.model.architectures import ARCHITECTURES, Architecture, build
from facecheck.model.checkpoint import load_model
from facecheck.model.config import Decision, Limits, ModelConfig
from tests.full_disk import no_room
from training.augment import Delivery
from training.cli import main
from training.data import FaceFile
from training.fitting.refit import average
from training.fitting.train import Aids, Watch, train
from training.fitting.trainer import Processes, TrainConfig, Trainer, load_backbone, mixed_precision
from training.pseudo import Upsampler
from training.unseen.logo import FineTuned

MODEL = ModelConfig("tiny", "0", "tiny", input_size=32)
CONFIG = TrainConfig(steps=6, batch=4, phases=((0.5, 32), (0.5, 48)), warmup=2, workers=0, frozen=(), save_every=2)


@pytest.fixture
def rows(tmp_path, astronaut):
    """Bright faces are "fake": easy to learn."""
    made = []
    for label, factor in (("real", 0.3), ("fake", 1.0)):
        path = tmp_path / f"{label}.png"
        cv2.imwrite(str(path), (astronaut[::4, ::4, ::-1] * factor).astype(np.uint8))
        made.append(FaceFile(path, label, "s", "train", label, (40, 15, 85, 65)))
    return made


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(path).network.state_dict())


@pytest.fixture
def tiny_dropout(monkeypatch) -> ModelConfig:
    """A network that draws by chance which features it looks at."""

    def network() -> nn.Module:
        head = OrderedDict(mean=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), drop=nn.Dropout(), fc=nn.Linear(8, 1))
        return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 5, stride=4)) | head)

    monkeypatch.setitem(ARCHITECTURES, "tiny_dropout", Architecture(network, head="fc"))
    return replace(MODEL, architecture="tiny_dropout")


@pytest.mark.parametrize("architecture", ["tiny", "tiny_dropout"])
def test_a_killed_run_resumes_to_the_same_numbers(rows, tmp_path, monkeypatch, tiny_dropout, architecture):
    model = replace(tiny_dropout, architecture=architecture)
    whole = train(rows, model, CONFIG, None, tmp_path / "whole")

    step = Trainer.train_step
    calls = []

    def killed(self, faces, targets):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(self, faces, targets)

    monkeypatch.setattr(Trainer, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(rows, model, CONFIG, None, tmp_path / "cut")
    resumed = train(rows, model, CONFIG, None, tmp_path / "cut")
    # Checkpoint after step 2, killed in step 4: steps 3 to 6 are done again or for the first time.
    assert len(calls) == 4 + 4
    for name, tensor in tensors(whole).items():
        torch.testing.assert_close(tensors(resumed)[name], tensor, rtol=0, atol=0)


def test_on_a_full_disk_the_last_checkpoint_stays_and_the_run_goes_on(rows, tmp_path, monkeypatch):
    whole, cut = train(rows, MODEL, CONFIG, None, tmp_path / "whole"), tmp_path / "cut"
    save = Trainer.save

    def full(self):
        with no_room(1000 if self.step == 4 else 1 << 30):
            save(self)

    monkeypatch.setattr(Trainer, "save", full)
    with pytest.raises(OSError, match=r"checkpoint\.pt"):
        train(rows, MODEL, CONFIG, None, cut)
    assert not list(cut.glob(".*"))
    monkeypatch.undo()
    resumed = train(rows, MODEL, CONFIG, None, cut)
    assert resumed.read_bytes() == whole.read_bytes()


def test_each_process_drops_other_features(tiny_dropout, tmp_path):
    faces, targets = torch.arange(4 * 3 * 32 * 32).reshape(4, 3, 32, 32) % 251, torch.tensor([0, 1, 0, 1])
    losses = [
        Trainer(tiny_dropout, CONFIG, None, tmp_path, Processes(rank)).train_step(faces, targets) for rank in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_training_learns(rows, tmp_path):
    delivery = Delivery(colour=0, grey=0, erase=0)
    config = TrainConfig(
        steps=80, batch=8, phases=((1.0, 32),), lr=0.02, warmup=2, ema=0.8, workers=0, frozen=(), delivery=delivery
    )
    trainer = Trainer(MODEL, config, None, tmp_path / "run")
    train(rows, MODEL, config, None, tmp_path / "run")
    assert trainer.resume()
    assert trainer.step == 80
    network = load_model(tmp_path / "run").network
    from training.data import FaceStream

    stream = FaceStream(rows, [32] * 40, 1, MODEL.crop_margin, delivery, seed=99)
    faces, targets = zip(*(stream[i] for i in range(40)), strict=True)
    pixels = (torch.stack(faces).float() - trainer.mean) / trainer.std
    with torch.inference_mode():
        right = (network(pixels).squeeze(1) > 0) == torch.tensor(targets).bool()
    assert right.float().mean() > 0.9


def test_a_backbone_fills_what_fits(tmp_path):
    network = build("tiny")
    save_file(
        {"conv1.weight": torch.full((8, 3, 5, 5), 0.5).half(), "fc.weight": torch.zeros(9, 9)},
        tmp_path / "b.safetensors",
    )
    fresh = load_backbone(network, tmp_path / "b.safetensors")
    assert (network.conv1.weight == 0.5).all()
    assert "conv1.weight" not in fresh
    assert {"fc.weight", "fc.bias", "conv1.bias"} <= set(fresh)
    save_file({"other": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="no tensor that fits"):
        load_backbone(network, tmp_path / "c.safetensors")


def test_frozen_modules_keep_their_weights_and_statistics(rows, tmp_path):
    config = TrainConfig(steps=3, batch=4, phases=((1.0, 32),), warmup=1, workers=0, frozen=("conv1", "bn1"))
    trainer = Trainer(MODEL, config, None, tmp_path)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    train(rows, MODEL, config, None, tmp_path)
    after = Trainer(MODEL, config, None, tmp_path)
    after.resume()
    for name, tensor in after.network.state_dict().items():
        assert torch.equal(tensor, before[name]) == (not name.startswith("fc")), name


def test_the_schedule_warms_up_and_ends_at_zero():
    config = TrainConfig(steps=100, warmup=10)
    rates = [config.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == 1.0
    assert rates[-1] < 0.01
    assert TrainConfig(steps=5, phases=((0.5, 1), (0.5, 2))).sizes() == [1, 1, 2, 2, 2]


def test_an_average_lies_in_the_middle(rows, tmp_path):
    paths = [
        train(rows, MODEL, replace(CONFIG, seed=seed, steps=2, save_every=9), None, tmp_path / str(seed))
        for seed in (1, 2)
    ]
    mixed = tensors(average([load_model(path) for path in paths], tmp_path / "mixed"))
    first, second = map(tensors, paths)
    for name, tensor in mixed.items():
        torch.testing.assert_close(tensor.double(), (first[name].double() + second[name]) / 2, atol=1e-3, rtol=1e-3)


def test_a_run_is_not_resumed_with_other_settings(rows, tmp_path):
    train(rows, MODEL, CONFIG, None, tmp_path)
    with pytest.raises(ValueError, match=r"lr: 0\.0003 then, 0\.1 now"):
        train(rows, MODEL, replace(CONFIG, lr=0.1), None, tmp_path)
    train(rows, MODEL, replace(CONFIG, workers=1, save_every=50), None, tmp_path)


def test_a_run_is_not_resumed_from_other_inputs(rows, tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    for path in (first, second):
        save_file(build("tiny").state_dict(), path)
    out = tmp_path / "run"
    upsampler = tmp_path / "upsampler.safetensors"
    save_file(Upsampler().state_dict(), upsampler)
    train(rows, MODEL, CONFIG, first, out)
    for given, what in (
        ((rows[::-1], first, None), "other faces"),
        (([replace(rows[0], box=(40, 15, 85, 64)), rows[1]], first, None), "other faces"),
        ((rows, second, None), "other backbone"),
        ((rows, None, None), "other backbone"),
        ((rows, first, upsampler), "other autoencoder"),
    ):
        with pytest.raises(ValueError, match=rf"other settings \({what}\)"):
            train(given[0], MODEL, CONFIG, given[1], out, aids=Aids(given[2]))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    train([replace(row, path=row.path.rename(elsewhere / row.path.name)) for row in rows], MODEL, CONFIG, first, out)


def test_a_checkpoint_of_an_earlier_version_is_resumed(rows, tmp_path):
    train(rows, MODEL, CONFIG, None, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["inputs"]
    torch.save(state, tmp_path / "checkpoint.pt")
    train(rows[::-1], MODEL, CONFIG, None, tmp_path)


def test_a_leave_one_out_run_is_not_taken_up_with_other_faces(rows, tmp_path):
    everything = np.ones(len(rows), dtype=bool)
    FineTuned(rows, MODEL, CONFIG, None, tmp_path / "runs")(everything, everything)
    with pytest.raises(ValueError, match="other faces"):
        FineTuned(rows[::-1], MODEL, CONFIG, None, tmp_path / "runs")(everything, everything)


def test_the_calibration_of_the_same_weights_outlives_a_repeated_run(rows, tmp_path):
    measured = {"decision": Decision(temperature=2.0), "limits": Limits(min_face_px=40.0)}

    def repeated(make: Callable[[], Path]) -> ModelConfig:
        config = load_model(path := make()).config
        path.with_suffix(".json").write_text(replace(config, **measured).to_json())
        return load_model(make()).config

    again = repeated(lambda: train(rows, MODEL, CONFIG, None, tmp_path / "run"))
    assert (again.decision, again.limits) == tuple(measured.values())
    (tmp_path / "run" / "checkpoint.pt").unlink()
    other = load_model(train(rows, MODEL, replace(CONFIG, seed=1), None, tmp_path / "run")).config
    assert (other.decision, other.limits) == (Decision(), Limits())
    mixed = repeated(lambda: average([load_model(tmp_path / "run")], tmp_path / "mixed"))
    assert mixed.decision == measured["decision"]


def test_the_best_network_on_the_web_tier_is_kept(rows, tmp_path, monkeypatch):
    aucs = iter([0.6, 0.9, 0.8, 0.7, 0.95])
    seen = []

    def auc(self, network, device):
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return next(aucs)

    monkeypatch.setattr(Watch, "auc", auc)
    config = replace(CONFIG, steps=20, watch_every=2, patience=2, lr=0.05)
    path = train(rows, MODEL, config, None, tmp_path, watched=rows)
    # Looks after steps 2, 4 (the best), 6 and 8: then patience is over.
    assert len(seen) == 4
    for name, tensor in tensors(path).items():
        torch.testing.assert_close(tensor, seen[1][name], atol=1e-3, rtol=1e-3)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["web_auc"] for line in log if "web_auc" in line] == [0.6, 0.9, 0.8, 0.7]
    with pytest.raises(ValueError, match="other watched faces"):
        train(rows, MODEL, config, None, tmp_path, watched=rows[::-1])


def test_the_watch_measures_what_scikit_learn_measures(rows):
    watch = Watch(rows, MODEL, 32)

    class Brightness(torch.nn.Module):
        def forward(self, faces):
            return faces.mean(dim=(1, 2, 3))[:, None]

    assert watch.auc(Brightness().eval(), torch.device("cpu")) == 1.0
    with pytest.raises(ValueError, match="real and fake"):
        Watch(rows[:1], MODEL, 32)


@pytest.mark.slow
def test_two_processes_train_like_one(rows, tmp_path):
    """`torchrun` on this machine (gloo): every process takes its part of each batch, the losses are those of one."""
    manifest = tmp_path / "manifest.csv"
    with manifest.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "source", "split", "group", "x0", "y0", "x1", "y1"])
        for row in rows:
            writer.writerow([row.path.name, row.label, row.source, "train", row.group, *row.box])
    backbone = tmp_path / "b.safetensors"
    save_file({"conv1.weight": torch.full((64, 3, 7, 7), 0.01)}, backbone)
    common = [
        "--steps", "4", "--batch", "4", "--phase", "1", "32", "--backbone", str(backbone), "--workers", "0",
        "--unaudited", "--preset", "resnet50-frozen",
    ]  # fmt: skip
    alone = CliRunner().invoke(main, ["train", str(tmp_path), str(tmp_path / "one"), *common])
    assert alone.exit_code == 0, alone.output
    launched = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "training", "train", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *launched, str(tmp_path / "two"), *common], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    losses = []
    for name in ("one", "two"):
        assert (tmp_path / name / "facecheck-resnet50-frozen.safetensors").is_file()
        # Also a run that is shorter than the space between two reports has one.
        losses.append(json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])["loss"])
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)
    one, two = (load_model(tmp_path / name).network.state_dict()["fc.weight"] for name in ("one", "two"))
    torch.testing.assert_close(one, two, atol=2e-3, rtol=0.05)


@pytest.mark.parametrize(("capability", "expected"), [("AVX2", torch.float32), ("AVX512", torch.bfloat16)])
def test_a_processor_that_is_slow_in_bfloat16_trains_in_float32(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    with mixed_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is expected
