"""Corruptions do what they say, curves move the box along and count right, limits are read from measured errors."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from facecheck.model.config import Decision, Limits
from training.data import FaceFile
from training.evaluation.corruptions import (
    CURVES,
    SWEEPS,
    Bin,
    _acceptable,
    _limit,
    cut_off,
    measure_curves,
    measure_limits,
    noisy,
    stratified,
)

STEPS = [(curve.name, level) for curve in CURVES for level in curve.levels]


class Recorder:
    """A checker that calls grey pictures generated, and remembers what it was shown."""

    def __init__(self):
        self.config = SimpleNamespace(decision=Decision(threshold=0.6, uncertain_from=0.6, uncertain_to=0.6))
        self.shown = []

    def judge(self, pictures, places):
        self.shown.append([(picture, place.boxes[0]) for picture, place in zip(pictures, places, strict=True)])
        return [(SimpleNamespace(p_fake=0.9 if picture.mean() < 150 else 0.5),) for picture in pictures]


@pytest.fixture
def rows(tmp_path):
    found = []
    for label, level in (("real", 200), ("fake", 100)):
        path = tmp_path / f"{label}.png"
        cv2.imwrite(str(path), np.full((240, 200, 3), level, np.uint8))
        found.append(FaceFile(path, label, "s", "test", label, (40.0, 60.0, 140.0, 180.0)))
    return found


def test_a_perfect_detector_is_perfect_at_every_level(rows):
    points = measure_curves(Recorder(), rows)
    assert [(point.curve, point.level) for point in points] == STEPS
    assert {
        (point.auc, point.forced_choice, point.true_positive_rate, point.false_positive_rate) for point in points
    } == {(1, 1, 1, 0)}


def test_the_threshold_of_the_model_decides(rows):
    strict = Recorder()
    strict.config.decision = Decision(threshold=0.4, uncertain_from=0.4, uncertain_to=0.4)
    points = measure_curves(strict, rows)
    assert {
        (point.auc, point.forced_choice, point.true_positive_rate, point.false_positive_rate) for point in points
    } == {(1, 0.5, 1, 1)}


def test_the_box_moves_with_the_picture(rows):
    recorder = Recorder()
    measure_curves(recorder, rows)
    shown = dict(zip(STEPS, recorder.shown[0], strict=True))
    for level in (96, 48, 24):
        picture, box = shown["scale", level]
        assert max(box[2:] - box[:2]) == pytest.approx(level, rel=0.03)
        assert picture.shape[0] == pytest.approx(240 * level / 120, abs=1)
    assert shown["scale", 160][0].shape == (240, 200, 3)  # nothing is enlarged
    picture, box = shown["crop", 0.5]
    inside = np.clip(box, 0, (picture.shape[1], picture.shape[0]) * 2)
    assert np.prod(inside[2:] - inside[:2]) == pytest.approx(0.5 * 100 * 120)
    assert shown["noise", 25][0].std() == pytest.approx(25, rel=0.15)


def test_the_chosen_faces_are_even_over_sources_and_always_the_same(tmp_path):
    row = FaceFile(tmp_path / "0", "real", "big", "test", "0", (0, 0, 1, 1))
    rows = [replace(row, path=tmp_path / str(k), source="big" if k >= 5 else "small") for k in range(100)]
    rows += [replace(row, path=tmp_path / f"f{k}", label="fake") for k in range(8)]
    chosen = stratified(rows, 40)
    assert chosen == stratified(rows, 40)
    assert len(set(chosen)) == len(chosen)
    counts = [sum(r.label == "real" and r.source == name for r in chosen) for name in ("small", "big")]
    assert counts == [5, 15]
    assert sum(r.label == "fake" for r in chosen) == 8


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


def test_a_model_that_is_not_so_good_on_unseen_sources_still_answers():
    """Without harm it is right on 84 %: what counts is where that is lost."""
    sizes = SWEEPS[0]
    right = np.tile([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], 50)
    right[::8][:8] = 0
    targets = np.repeat(np.arange(50) % 2, 8).astype(float)
    acceptable = _acceptable(sizes, right, right, targets)
    assert acceptable == pytest.approx(0.84 - 0.07)
    ladder = [Bin(24, 32, 99, 0.7), Bin(32, 48, 99, 0.8), Bin(48, np.inf, 99, 0.84)]
    assert _limit(sizes, ladder, acceptable) == 32
    assert _acceptable(sizes, right, np.ones(400), targets) == 0.9


def test_too_few_faces_are_no_measurement():
    with pytest.raises(ValueError, match="too few faces"):
        _limit(SWEEPS[0], [])


def test_every_corruption_moves_its_measurement(tiny_model, astronaut, tmp_path, monkeypatch):
    monkeypatch.setattr("training.evaluation.corruptions.SMALLEST_BIN", 4)
    Image.fromarray(astronaut[:300, 80:380]).save(tmp_path / "a.png")
    rows = [
        FaceFile(tmp_path / "a.png", label, "s", "val", label, (100, 40, 230, 190)) for label in ("real", "fake")
    ] * 3
    _, tables = measure_limits(tiny_model, rows, "cpu")
    assert all(len(bins) >= 3 for bins in tables.values()), tables
