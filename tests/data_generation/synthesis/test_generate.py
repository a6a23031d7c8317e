"""A run makes what is missing, whatever stopped it."""

import errno
import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_generation import store
from data_generation.cli import main
from data_generation.gate import Gate, Measurements
from data_generation.record import read_prompts
from data_generation.store import read_folder
from data_generation.synthesis import Settings
from data_generation.synthesis.generate import Local, Made, Run, Shard, tasks
from data_generation.synthesis.pipelines import Pipeline
from tests.forkserver import forking
from tests.full_disk import SAYS, no_room

pytestmark = pytest.mark.usefixtures("lenient")
IMAGES, KILLS = 200, 20


def make(folder: Path, model: Path, prompts: Path, each: int = 1, shard: str = "1/1", **settings) -> list[int]:
    pipeline = Pipeline(Settings(str(model), **{"steps": 1, **settings}))
    run = Run(folder, pipeline, Shard.parse(shard))
    made = run.make(tasks(pipeline, read_prompts(prompts), [], each), Local(pipeline), group=4)
    return [made.new, made.before, made.faceless]


def check(folder: Path, images: int) -> None:
    rows = read_folder(folder)
    assert len(rows) == len({row.id for row in rows}) == images
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == images
    for row in rows:
        assert hashlib.sha256((folder / row.file).read_bytes()).hexdigest() == row.sha256
    assert len(list((folder / "images").iterdir())) == images
    assert not list(folder.rglob("*.partial"))


class _Blind(Gate):
    """Looks for no faces: what is killed here writes files, and a detector takes longer to load than all of them."""

    def __init__(self) -> None:
        pass

    def measure(self, images):
        return [Measurements((), "0" * 32, 50.0, 0.0)] * len(images)


def _child(*arguments) -> None:
    import torch

    torch.set_num_threads(1)
    store.Gate = _Blind
    make(*arguments)


def test_a_full_disk_ends_in_one_line_and_the_next_run_goes_on(little_ddpm, prompts, tmp_path, monkeypatch):
    whole, written = store.write_atomically, []

    def full(path, data):
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        whole(path, data)

    arguments = ["generate", str(tmp_path), "--prompts", str(prompts), "--model", str(little_ddpm), "--steps", "1"]
    monkeypatch.setattr(store, "Gate", _Blind)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomically", full)
        stopped = CliRunner().invoke(main, arguments)
    assert stopped.exit_code == 1
    last = stopped.output.splitlines()[-1]
    assert last == f"Error: {written[2]}: No space left on device: make room, and run again to go on"
    check(tmp_path, 2)
    assert "4 images made, 2 were there" in CliRunner().invoke(main, arguments).output
    check(tmp_path, 6)


@pytest.mark.parametrize("limit", [0, 2000])
def test_on_a_real_full_disk_nothing_is_half_there(little_ddpm, prompts, tmp_path, monkeypatch, limit):
    """No room for anything, or for the image that is longer than its record."""
    monkeypatch.setattr(store, "Gate", _Blind)
    arguments = ["generate", str(tmp_path), "--prompts", str(prompts), "--model", str(little_ddpm), "--steps", "1"]
    with no_room(limit):
        stopped = CliRunner().invoke(main, arguments)
    assert stopped.exit_code == 1 and ".partial" not in stopped.output
    assert stopped.output.splitlines()[-1].startswith(f"Error: {tmp_path}") and SAYS in stopped.output
    assert not list((tmp_path / "images").glob(".*")) and not _lines(tmp_path)
    assert "6 images made, 0 were there" in CliRunner().invoke(main, arguments).output
    check(tmp_path, 6)


@pytest.mark.slow
def test_twenty_kills_lose_double_and_halve_nothing(little_ddpm, prompts, tmp_path):
    folder, one = tmp_path / "images", tmp_path / "one.jsonl"
    one.write_text(prompts.read_text().splitlines()[0] + "\n")
    luck, progress = random.Random(0), []
    context = forking(
        "data_generation.synthesis.generate", "diffusers.pipelines.ddim.pipeline_ddim",
        "diffusers.models.unets.unet_2d", "click.testing", "pytest",
    )  # fmt: skip
    for _ in range(KILLS):
        child = context.Process(target=_child, args=(folder, little_ddpm, one, IMAGES))
        before = _lines(folder)
        child.start()
        enough = before + luck.randint(0, 6)
        _until(lambda enough=enough: _lines(folder) >= enough, child)
        time.sleep(luck.uniform(0, 0.02))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL, "the run ended before it was killed"
        progress.append(_lines(folder))
    assert sorted(progress) == progress
    assert progress[-1] < IMAGES
    make(folder, little_ddpm, one, IMAGES)
    check(folder, IMAGES)
    assert make(folder, little_ddpm, one, IMAGES) == [0, IMAGES, 0]


def _lines(folder: Path) -> int:
    path = folder / "manifest.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _until(happened, child, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened() and child.is_alive() and time.monotonic() < end:
        time.sleep(0.005)


def test_shards_together_make_what_one_run_makes(little_ddpm, prompts, tmp_path):
    make(tmp_path / "whole", little_ddpm, prompts)
    for index in (1, 2):
        make(tmp_path / "parts", little_ddpm, prompts, shard=f"{index}/2")
    whole, parts = read_folder(tmp_path / "whole"), read_folder(tmp_path / "parts")
    assert {(row.id, row.sha256) for row in whole} == {(row.id, row.sha256) for row in parts}
    assert sorted(path.name for path in (tmp_path / "parts").glob("*.jsonl")) == [
        "manifest-1of2.jsonl",
        "manifest-2of2.jsonl",
    ]
    for row in parts:
        assert hashlib.sha256((tmp_path / "parts" / row.file).read_bytes()).hexdigest() == row.sha256


def test_pairs_are_kept_with_their_photographs(stable_diffusion, photos, tmp_path):
    from data_generation.synthesis.conditioning import listed, prepared
    from facecheck import image
    from facecheck.files import sha256_of

    pipeline = Pipeline(Settings(str(stable_diffusion), mode="vae"))
    run = Run(tmp_path, pipeline, Shard())
    made = run.make(tasks(pipeline, [], listed(photos).paths, 1), Local(pipeline), group=4)
    assert (made.new, made.faceless) == (2, 1)
    for row in read_folder(tmp_path):
        original = next(path for path in photos.iterdir() if sha256_of(path) == row.recipe.photo)
        kept = image.load(tmp_path / row.pair)
        assert (kept == prepared(original, 64, run.recorder.gate.detector).pixels).all()
        assert not (kept == image.load(tmp_path / row.file)).all()


def test_a_row_knows_the_age_that_the_model_was_asked_for(stable_diffusion, little_ddpm, prompts, photos, tmp_path):
    young = tmp_path / "prompts.jsonl"
    young.write_text(prompts.read_text().replace("20-29", "child"))
    make(tmp_path / "read", stable_diffusion, young)
    rows = read_folder(tmp_path / "read")
    assert {(row.recipe.prompt, row.age) for row in rows} >= {
        ("photo of person 0", "child"),
        ("photo of person 1", "60-69"),
    }
    assert all(("unchecked_minor" in row.reasons) == (row.age == "child") for row in rows)
    assert "plan for adults" in next(Made(6, 0, 0, 3).notes())
    assert {row.attributes["hair"] for row in rows} == {"short"}
    make(tmp_path / "unread", little_ddpm, young)
    assert all(row.attributes == {} for row in read_folder(tmp_path / "unread"))
    assert {row.age for row in read_folder(tmp_path / "unread")} == {""}
    pipeline = Pipeline(Settings(str(stable_diffusion), mode="img2img"))
    wanted = tasks(pipeline, read_prompts(young), [photos / "grace.jpg", photos / "astronaut.png"], 1)
    assert [task.age for task in wanted] == ["child", "60-69"]


def test_a_row_says_everything(stable_diffusion, prompts, tmp_path):
    make(tmp_path, stable_diffusion, prompts, seed=3)
    row = json.loads((tmp_path / "manifest.jsonl").read_text().splitlines()[0])
    assert row["versions"].keys() == {"torch", "diffusers", "transformers", "numpy", "pillow"}
    assert (row["licence"], row["prompt"], row["cell"]) == ("mit", "photo of person 0", "c0")
    assert "no_face" in row["reasons"]
    assert row["seconds"] > 0
    assert row["time"].startswith("20")
    assert row["revision"].startswith("sha256:")
