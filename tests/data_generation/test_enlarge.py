"""The second stage of the embedded generator: what it starts from, what it learns, and a run that resumes."""

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, LDMPipeline, UNet2DModel
from PIL import Image

from data_generation.synthesis.pipelines import EMBEDDED_FOLDER
from data_generation.tiny import enlarge
from data_generation.tiny.enlarge import (
    LARGE,
    EnlargerConfig,
    EnlargerRun,
    build_enlarger,
    redrawn,
    small_of,
    train_enlarger,
)
from data_generation.tiny.run import as_faces, as_tensor, cached
from data_generation.tiny.train import SIDE, noise_schedule

pytestmark = pytest.mark.usefixtures("lenient")


def config(**changes) -> EnlargerConfig:
    return EnlargerConfig(**{"steps": 4, "batch": 2, "warmup": 2, "save_every": 2, **changes})


@pytest.fixture(scope="module")
def faces(photos) -> np.ndarray:
    """(4, 128, 128, 3): parts of two photographs."""
    pictures = [Image.open(photos / name).convert("RGB") for name in ("grace.jpg", "astronaut.png")]
    return np.stack(
        [np.asarray(p.crop((x, 0, x + 256, 256)).resize((LARGE, LARGE))) for p in pictures for x in (90, 120)]
    )


@pytest.fixture
def first_stage(tmp_path):
    """A folder with an untrained network for 64 pixels."""
    network = UNet2DModel(
        sample_size=SIDE, block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2, layers_per_block=1,
        up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    DDIMPipeline(network, noise_schedule()).save_pretrained(tmp_path / "first")
    return tmp_path / "first"


def test_it_begins_as_nearest_neighbours(faces):
    small = as_tensor(faces)[..., ::2, ::2]
    with torch.no_grad():
        made = build_enlarger().decoder(small)
    assert made.shape == (4, 3, LARGE, LARGE)
    assert (made - small.repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().mean() < 0.05


def test_pictures_survive_the_way_to_tensors_and_back(faces):
    assert np.array_equal(as_faces(as_tensor(faces)), faces)
    reduced = Image.fromarray(faces[0]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    ours = as_faces(small_of(as_tensor(faces[:1])))[0]
    assert np.abs(ours.astype(int) - np.asarray(reduced)).mean() < 0.2  # Pillow rounds after each of its two passes.


def test_the_first_stage_takes_noise_away_and_keeps_the_face(faces):
    """The embedded network: what it makes of a photograph with noise is nearer to it than another photograph is."""
    network = UNet2DModel.from_pretrained(EMBEDDED_FOLDER, subfolder="unet").float().eval()
    again, small = redrawn(faces[::2], network), as_faces(small_of(as_tensor(faces[::2])))
    own, other = (np.abs(again.astype(int) - small[order].astype(int)).mean() for order in ([0, 1], [1, 0]))
    assert again.shape == (2, SIDE, SIDE, 3)
    assert 0 < own < other / 2


def test_the_error_falls_on_what_it_is_shown_again_and_again(faces, tmp_path):
    run = EnlargerRun(faces, as_faces(small_of(as_tensor(faces))), config(steps=60, warmup=60, lr=4e-3), tmp_path)
    shown = run._batch(np.random.default_rng(9))
    run._batch = lambda _: shown
    errors = [run.train_step()[0] for _ in range(9)]
    assert errors[-1] < 0.98 * errors[0]


def test_a_resumed_run_comes_to_the_same_numbers_and_exports_both_stages(faces, first_stage, tmp_path, monkeypatch):
    folder = train_enlarger(faces, first_stage, config(), tmp_path / "whole", lambda _: None)
    stops = iter([False, False, True])
    true_step = EnlargerRun.train_step

    def until_killed(run):
        if next(stops, False):
            raise KeyboardInterrupt
        return true_step(run)

    monkeypatch.setattr(EnlargerRun, "train_step", until_killed)
    with pytest.raises(KeyboardInterrupt):
        train_enlarger(faces, first_stage, config(), tmp_path / "parts", lambda _: None)
    train_enlarger(faces, first_stage, config(), tmp_path / "parts", lambda _: None)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 4
    for kind in ("network", "critic", "average"):
        assert all(torch.equal(whole[kind][name], parts[kind][name]) for name in whole[kind])
    with pytest.raises(ValueError, match="other settings"):
        train_enlarger(faces, first_stage, config(lr=1.0), tmp_path / "whole", lambda _: None)
    pipe = LDMPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    assert pipe(num_inference_steps=2).images[0].size == (LARGE, LARGE)


def test_the_discriminator_is_listened_to_after_the_warm_up(faces, tmp_path):
    run = EnlargerRun(faces, as_faces(small_of(as_tensor(faces))), config(warmup=1), tmp_path)
    before = [p.clone() for p in run.critic.parameters()]
    assert run.train_step()[1] == 0
    assert all(torch.equal(p, q) for p, q in zip(before, run.critic.parameters(), strict=True))
    assert run.train_step()[1] > 0
    assert not all(torch.equal(p, q) for p, q in zip(before, run.critic.parameters(), strict=True))
    assert enlarge.PATCH * 2 <= SIDE


def test_faces_that_were_kept_for_another_run_are_refused(faces, tmp_path):
    assert np.array_equal(cached(tmp_path / "kept.npy", lambda: faces, LARGE), faces)
    for side, count in ((SIDE, None), (LARGE, 3)):
        with pytest.raises(ValueError, match="made for another run"):
            cached(tmp_path / "kept.npy", lambda: faces, side, count)
