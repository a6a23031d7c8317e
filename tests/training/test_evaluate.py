"""The table is what the pipeline says, and the tiers are what they claim."""

import io
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.models import Decision, Limits, load_model, save_model
from training.__main__ import main
from training.calibrate import SWEEPS, Bin, _limit, fit_decision, measure_limits
from training.damage import cut_off, noisy
from training.data import FaceFile, read_manifest
from training.evaluate import TIERS, delivered, score, score_tiers


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
    table = score_tiers(FaceChecker(unsure, "cpu", detector), rows, data, ["clean"])
    assert table.credit.tolist() == [0.5] * 4
    assert set(table.forced.tolist()) <= {0.0, 1.0}
    assert table.file.tolist() == [f"{name}-test.jpg" for name in ("real/a", "real/b", "fake/c", "fake/d")]
    assert table.detected.tolist() == [True, True, False, True]
    assert 50 < table.face_px.min() <= table.face_px.max() < 300


def test_calibrate_runs_from_the_command_line(data, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("training.calibrate.SMALLEST_BIN", 2)
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    arguments = ["calibrate", str(weights), str(data), "--sweep-faces", "4"]
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    assert load_model(weights).config.decision != Decision()


def test_train_runs_from_the_command_line(data, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", str(data), str(out), "--architecture", "tiny", "--name", "t", "--steps", "2", "--batch", "2"]
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    config = load_model(out).config
    assert config.training_data == ("fake/sc", "fake/sd", "real/sa", "real/sb")
    assert config.licence


def test_the_decision_ignores_what_the_config_said_before(tiny_model, data):
    rows = [row for row in read_manifest(data) if row.split == "val"]
    strict = replace(tiny_model, config=replace(tiny_model.config, decision=Decision(9.0, 0.9, 0.1, 0.95)))
    assert fit_decision(strict, rows, "cpu") == fit_decision(tiny_model, rows, "cpu")


def test_limits_end_where_the_measured_accuracy_falls():
    sizes, blocks = SWEEPS[0], SWEEPS[2]
    ladder = [
        Bin(16, 24, 99, 0.6),
        Bin(24, 32, 99, 0.9),
        Bin(32, 48, 99, 0.8),
        Bin(48, 64, 99, 0.9),
        Bin(64, np.inf, 99, 0.95),
    ]
    assert _limit(sizes, ladder) == 48
    assert _limit(blocks, [Bin(1, 2, 99, 0.95), Bin(2, 3, 99, 0.9), Bin(3, np.inf, 99, 0.7)]) == 3
    assert _limit(blocks, [Bin(1, 2, 99, 0.95), Bin(2, np.inf, 99, 0.9)]) == Limits().max_blockiness


def test_too_few_faces_are_no_measurement():
    with pytest.raises(ValueError, match="too few validation faces"):
        _limit(SWEEPS[0], [])


def test_every_damage_moves_its_measurement(tiny_model, astronaut, tmp_path):
    Image.fromarray(astronaut[:300, 80:380]).save(tmp_path / "a.png")
    rows = [
        FaceFile(tmp_path / "a.png", label, "s", "val", label, (100, 40, 230, 190)) for label in ("real", "fake")
    ] * 40
    _, tables = measure_limits(tiny_model, rows, "cpu")
    assert all(len(bins) >= 3 for bins in tables.values()), tables


@pytest.mark.parametrize("seed", range(8))
def test_cutting_takes_the_share_it_says_from_one_side(seed):
    picture = np.random.default_rng(0).integers(0, 256, (200, 240, 3), np.uint8)
    box = np.array([60.0, 50.0, 160.0, 150.0])
    cut, moved = cut_off(picture, box, 0.3, np.random.default_rng(seed))
    inside = np.clip(moved, 0, (cut.shape[1], cut.shape[0]) * 2)
    assert np.prod(moved[2:] - moved[:2]) == pytest.approx(100 * 100)
    assert np.prod(inside[2:] - inside[:2]) == pytest.approx(100 * 70)
    x0, y0, x1, y1 = inside.astype(int)
    # What is left of the face is the same pixels as before.
    windows = np.lib.stride_tricks.sliding_window_view(picture[50:150, 60:160], (y1 - y0, x1 - x0, 3))
    assert (windows == cut[y0:y1, x0:x1]).all(axis=(3, 4, 5)).any()


def test_noise_has_the_sigma_it_says():
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise, _ = noisy(grey, np.zeros(4), 6.0, np.random.default_rng(0))
    assert (noise.astype(float) - 128).std() == pytest.approx(6.0, rel=0.03)
