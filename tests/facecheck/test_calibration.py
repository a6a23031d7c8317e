"""Against torch and by hand."""

import numpy as np
import pytest
import torch

from facecheck import calibration
from facecheck.model.config import Decision, Knot
from facecheck.result import Verdict

LOGITS = np.random.default_rng(0).normal(0, 4, 4000)
KNOTS = (Knot(32, 1.0, -0.5), Knot(128, 2.0, 0.5))


def test_p_fake_is_the_sigmoid_and_never_overflows():
    expected = torch.sigmoid((torch.tensor(LOGITS) - 0.3) / 1.7)
    np.testing.assert_allclose(calibration.p_fake(LOGITS, Decision(1.7, bias=0.3)), expected)
    assert calibration.p_fake([-1e9, 0, 1e9], Decision()).round(6).tolist() == [0, 0.5, 1]


def test_without_knots_or_sizes_the_pooled_scaling_counts():
    flat, knotted = Decision(1.7, bias=0.3), Decision(1.7, bias=0.3, knots=KNOTS)
    expected = calibration.p_fake(LOGITS, flat)
    np.testing.assert_array_equal(calibration.p_fake(LOGITS, flat, np.full(4000, 50.0)), expected)
    np.testing.assert_array_equal(calibration.p_fake(LOGITS, knotted), expected)


@pytest.mark.parametrize(
    ("face_px", "temperature", "bias"),
    # Half the way from 32 to 128 in log size is 64. Beyond the knots nothing is extrapolated, not even for empty boxes.
    [(32, 1.0, -0.5), (64, 1.5, 0.0), (128, 2.0, 0.5), (10, 1.0, -0.5), (0, 1.0, -0.5), (4000, 2.0, 0.5)],
)
def test_knots_are_interpolated_over_log_size(face_px, temperature, bias):
    expected = torch.sigmoid(torch.tensor((1.2 - bias) / temperature)).item()
    assert calibration.p_fake([1.2], Decision(9.0, knots=KNOTS), [face_px]) == pytest.approx(expected, abs=1e-6)


def test_p_fake_does_not_jump_with_the_size():
    sizes = np.arange(8.0, 600.0)
    scores = calibration.p_fake(np.full(len(sizes), 1.0), Decision(knots=KNOTS), sizes)
    assert np.abs(np.diff(scores)).max() < 0.01


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.0, "real"), (0.29, "real"), (0.3, "uncertain"), (0.59, "uncertain"), (0.6, "fake"), (1.0, "fake")],
)
def test_verdicts(probability, expected):
    assert calibration.verdict(probability, Decision(1.0, 0.4, 0.3, 0.6)) == Verdict(expected)


def test_without_a_band_the_threshold_decides():
    assert calibration.verdict(0.4, Decision(1.0, 0.4, 0.4, 0.4)) == "fake"
    assert calibration.verdict(0.399, Decision(1.0, 0.4, 0.4, 0.4)) == "real"


def test_only_answers_close_to_another_verdict_are_near_a_border():
    decision = Decision(threshold=0.5, uncertain_from=0.4, uncertain_to=0.6)
    # In logits the borders are -0.405, 0 and 0.405.
    near = calibration.near_a_border([-9, -1, -0.8, -0.3, 0.2, 0.8, 1, 9], 0.5, decision)
    assert near.tolist() == [False, False, True, True, True, True, False, False]
    assert not calibration.near_a_border([-0.405, 0, 0.405], 0, decision).any()


def test_borders_move_with_the_size_of_the_face():
    decision = Decision(knots=(Knot(40, 1.0, 3.0), Knot(400, 1.0, 0.0)), uncertain_from=0.5, uncertain_to=0.5)
    assert calibration.near_a_border([3.0, 3.0], 0.5, decision, [40, 400]).tolist() == [True, False]
