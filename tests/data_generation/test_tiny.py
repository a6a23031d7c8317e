"""The embedded generator's training: faces that all look the same way, and a run that resumes to the same numbers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, UNet2DModel
from PIL import Image

from data_generation.tiny import train
from data_generation.tiny.train import (
    SIDE,
    TEMPLATE,
    TinyConfig,
    TinyRun,
    aligned_faces,
    cached_faces,
    noise_schedule,
    photographs,
    train_tiny,
)

pytestmark = pytest.mark.usefixtures("lenient")
FACES = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)


def config(**changes) -> TinyConfig:
    return TinyConfig(**{"steps": 4, "batch": 2, "warmup": 2, "save_every": 2, **changes})


def test_eyes_come_to_the_same_place_and_the_mouth_below_them(photos, detector):
    paths = [photos / "grace.jpg", photos / "astronaut.png", photos / "wall.png"]
    *faces, wall = aligned_faces(paths, detector)
    assert wall is None
    for face in faces:
        large = np.asarray(Image.fromarray(face).resize((4 * SIDE, 4 * SIDE), Image.Resampling.BICUBIC))
        landmarks = detector.detect([large])[0].landmarks[0] / 4
        assert np.abs(landmarks - TEMPLATE)[:2].max() < 2
        assert np.abs(landmarks - TEMPLATE)[2:].max() < 6


def test_turned_and_enlarged_faces(grace, detector, tmp_path):
    Image.fromarray(grace).rotate(25, Image.Resampling.BICUBIC, expand=True).save(tmp_path / "turned.png")
    Image.fromarray(grace).resize((40, 47)).save(tmp_path / "small.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    broken, small, turned = aligned_faces(sorted(tmp_path.iterdir()), detector)
    assert broken is None
    assert small is None
    large = np.asarray(Image.fromarray(turned).resize((4 * SIDE, 4 * SIDE), Image.Resampling.BICUBIC))
    eyes = detector.detect([large])[0].landmarks[0, :2] / 4
    assert abs(eyes[0, 1] - eyes[1, 1]) < 3


def test_only_real_photographs_of_the_train_split_are_taken(tmp_path):
    lines = [
        "file,label,source,split",
        "a.jpg,real,s,train",
        "b.jpg,fake,s,train",
        "c.jpg,real,s,test",
        "d.jpg,real,t,train",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    assert [path.name for path in photographs(tmp_path)] == ["a.jpg", "d.jpg"]
    assert [path.name for path in photographs(tmp_path, ["t"])] == ["d.jpg"]
    with pytest.raises(ValueError, match="no photograph of the sources"):
        photographs(tmp_path, ["u"])


def test_faces_are_found_once_and_kept(photos, tmp_path):
    first = cached_faces(photographs(photos), tmp_path / "faces.npy")
    assert first.shape == (2, SIDE, SIDE, 3)
    assert np.array_equal(cached_faces([], tmp_path / "faces.npy"), first)


def little_network() -> UNet2DModel:
    """A run of the real one takes forty seconds."""
    return UNet2DModel(
        sample_size=SIDE, block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2, layers_per_block=1,
        up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip


def test_a_resumed_run_comes_to_the_same_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "build", little_network)
    train_tiny(FACES, config(), tmp_path / "whole", lambda _: None)
    run = TinyRun(FACES, config(), tmp_path / "parts")
    for _ in range(2):
        run.train_step()
    run.save()
    run.train_step()  # lost by the kill
    train_tiny(FACES, config(), tmp_path / "parts", lambda _: None)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 4
    for kind in ("network", "average"):
        assert all(torch.equal(whole[kind][name], parts[kind][name]) for name in whole[kind])
    assert any(not torch.equal(whole["network"][name], whole["average"][name]) for name in whole["network"])
    with pytest.raises(ValueError, match="other settings"):
        train_tiny(FACES, config(lr=1.0), tmp_path / "whole", lambda _: None)


@pytest.mark.slow
def test_the_export_is_a_pipeline_under_25_megabytes(tmp_path):
    folder = train_tiny(FACES, config(steps=1, save_every=1), tmp_path, lambda _: None)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 25_000_000
    pipe = DDIMPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    assert pipe(num_inference_steps=2).images[0].size == (SIDE, SIDE)


def test_the_loss_is_least_for_the_true_velocity():
    schedule = noise_schedule()
    run = TinyRun.__new__(TinyRun)
    run.schedule, run.device, run.signal = schedule, torch.device("cpu"), schedule.alphas_cumprod
    clean, noise, times = torch.rand(3, 3, 8, 8) * 2 - 1, torch.randn(3, 3, 8, 8), torch.tensor([10, 500, 990])
    true = schedule.get_velocity(clean, noise, times)
    run.network = lambda noisy, t: type("Answer", (), {"sample": true})()
    assert run._loss(clean, noise, times).item() == pytest.approx(0, abs=1e-9)
    run.network = lambda noisy, t: type("Answer", (), {"sample": true + 1})()
    snr = schedule.alphas_cumprod[times] / (1 - schedule.alphas_cumprod[times])
    expected = torch.minimum(snr, torch.tensor(5.0)) / (snr + 1)
    assert run._loss(clean, noise, times).item() == pytest.approx(expected.mean().item(), rel=1e-4)
