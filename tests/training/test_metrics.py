"""By hand, and against scikit-learn's own curve."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from training.metrics import balanced, clustered_interval, expected_calibration_error, report

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 2, 3000)
SCORES = np.clip(0.5 + 0.25 * (2 * TARGETS - 1) + RNG.normal(0, 0.2, 3000), 0, 1)


def test_balanced_accuracy_counts_both_classes_alike():
    credit, targets = np.array([1, 1, 1, 0, 0.5]), np.array([0, 0, 0, 0, 1])
    assert balanced(credit, targets) == pytest.approx((0.75 + 0.5) / 2)


def test_calibration_error_agrees_with_scikit_learns_curve():
    share, mean = calibration_curve(TARGETS, SCORES, n_bins=15)
    count = np.histogram(SCORES, bins=np.linspace(0, 1, 16))[0]
    expected = (np.abs(share - mean) * count[count > 0]).sum() / len(SCORES)
    assert expected_calibration_error(SCORES, TARGETS) == pytest.approx(expected, abs=1e-6)


def test_a_report_is_complete():
    forced = ((SCORES >= 0.5) == TARGETS).astype(float)
    credit = np.where(np.abs(SCORES - 0.5) < 0.05, 0.5, forced)
    result = report(SCORES, TARGETS, credit, forced)
    assert result.faces == 3000
    assert result.coverage == pytest.approx((np.abs(SCORES - 0.5) >= 0.05).mean())
    assert 0.3 < result.tpr_at[0] <= result.tpr_at[1] <= result.tpr_at[2] <= 1
    threshold = np.quantile(SCORES[TARGETS == 0], 0.95, method="higher")
    assert result.tpr_at[2] == pytest.approx((SCORES[TARGETS == 1] > threshold).mean(), abs=0.01)
    assert result.auc > 0.9
    assert result.ap > 0.9


def test_intervals_over_sources_are_wider_than_over_faces():
    clusters = np.array([f"s{i % 4}" for i in range(3000)])
    shifted = SCORES + np.array([0, 0.3, -0.3, 0.1])[np.arange(3000) % 4]

    def accuracy(index):
        return balanced(((shifted[index] >= 0.5) == TARGETS[index]).astype(float), TARGETS[index])

    coarse = clustered_interval(accuracy, clusters, TARGETS)
    fine = clustered_interval(accuracy, np.array([str(i) for i in range(3000)]), TARGETS, rounds=100)
    assert coarse[0] <= accuracy(np.arange(3000)) <= coarse[1]
    assert coarse[1] - coarse[0] > fine[1] - fine[0]
