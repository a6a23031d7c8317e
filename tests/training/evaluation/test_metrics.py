"""By hand, and against scikit-learn's own curve."""

import numpy as np
import pytest
import sklearn.metrics
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from training.evaluation import metrics
from training.evaluation.metrics import (
    balanced,
    clustered_draws,
    clustered_interval,
    coverage_risk,
    effective_count,
    equal_error_rate,
    expected_calibration_error,
    rate,
    report,
    source_weights,
    wilson,
)

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
    forced_choice = ((SCORES >= 0.5) == TARGETS).astype(float)
    credit = np.where(np.abs(SCORES - 0.5) < 0.05, 0.5, forced_choice)
    result = report(SCORES, TARGETS, credit, forced_choice)
    assert result.faces == 3000
    assert result.coverage == pytest.approx((np.abs(SCORES - 0.5) >= 0.05).mean())
    wrong, answered = forced_choice == 0, np.abs(SCORES - 0.5) >= 0.05
    each = [np.array([(mask & (target == TARGETS)).sum() / (target == TARGETS).sum() for target in (0, 1)])
            for mask in (wrong & answered, answered)]  # fmt: skip
    assert result.risk == pytest.approx(each[0].sum() / each[1].sum())
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


def test_the_report_agrees_with_scikit_learn():
    forced_choice = ((SCORES >= 0.5) == TARGETS).astype(float)
    values = report(SCORES, TARGETS, forced_choice, forced_choice).named()
    assert values["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(TARGETS, SCORES))
    assert values["ap"] == pytest.approx(sklearn.metrics.average_precision_score(TARGETS, SCORES))
    assert values["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(TARGETS, SCORES))
    assert values["forced_choice"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(TARGETS, SCORES >= 0.5))
    assert list(values)[-3:] == ["tpr@0.5%", "tpr@1.0%", "tpr@5.0%"]


def test_the_curve_is_that_of_scikit_learn_with_ties_and_weights():
    scores, weights = np.round(SCORES, 2), RNG.uniform(0.1, 2, len(SCORES))
    for each in (None, weights):
        expected = sklearn.metrics.roc_curve(TARGETS, scores, sample_weight=each, drop_intermediate=False)
        for found, wanted in zip(metrics.roc_curve(TARGETS, scores, each), expected, strict=True):
            np.testing.assert_allclose(found, wanted)
        area = sklearn.metrics.roc_auc_score(TARGETS, scores, sample_weight=each)
        assert metrics.roc_auc(TARGETS, scores, each) == pytest.approx(area)
        right = np.ones(len(scores))
        precision = sklearn.metrics.average_precision_score(TARGETS, scores, sample_weight=each)
        assert report(scores, TARGETS, right, right, each).ap == pytest.approx(precision)


def test_a_report_of_one_class_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        report(SCORES[:5], np.ones(5, int), np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="both classes"):
        metrics.roc_auc(np.zeros(5, int), SCORES[:5])


def test_equal_error_rate_by_hand_and_on_many_scores():
    # Four photographs and four fakes, one of each on the wrong side.
    scores, targets = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.8, 0.9, 1.0]), np.repeat([0, 1], 4)
    assert equal_error_rate(*roc_curve(targets, scores)[:2]) == pytest.approx(0.25)
    threshold = min(
        np.sort(SCORES), key=lambda t: abs((SCORES[TARGETS == 0] >= t).mean() - (SCORES[TARGETS == 1] < t).mean())
    )
    wrong = (SCORES[TARGETS == 0] >= threshold).mean()
    assert equal_error_rate(*roc_curve(TARGETS, SCORES)[:2]) == pytest.approx(wrong, abs=0.002)
    assert equal_error_rate(*roc_curve(targets, targets)[:2]) == 0


def test_coverage_and_risk_by_hand():
    coverage, risk = coverage_risk(np.array([4.0, 1.0, 3.0, 2.0]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    # Who is equally sure of everything errs alike at every coverage, in whatever order the files come.
    assert coverage_risk(np.zeros(4), np.array([1.0, 1.0, 1.0, 0.0]))[1].tolist() == pytest.approx([0.25] * 4)


def test_wilson_is_the_textbooks():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, count) == pytest.approx((low, high), abs=1e-4)
    assert rate("x", np.array([True, False])).rate == 0.5
    with pytest.raises(ValueError, match="no faces"):
        rate("x", np.array([], bool))


def test_draws_take_whole_clusters_and_both_classes():
    clusters = np.array(["b", "a", "b", "a", "c", "c"])
    targets = np.array([0, 1, 0, 0, 1, 1])
    for drawn in clustered_draws(clusters, targets, rounds=50):
        count = np.bincount(drawn, minlength=6)
        assert count[0] == count[2]
        assert count[4] == count[5]
        assert count[0] + count[3] == 2
        assert count[1] + count[4] == 2


def test_weights_are_those_of_scikit_learn():
    """Every metric with weights, against the same metric with as many copies of each face."""
    rng = np.random.default_rng(1)
    copies = rng.integers(1, 4, 400)
    scores, targets = SCORES[:400], TARGETS[:400]
    forced_choice = ((scores >= 0.5) == targets).astype(float)
    credit = np.where(np.abs(scores - 0.5) < 0.05, 0.5, forced_choice)
    weighted = report(scores, targets, credit, forced_choice, copies.astype(float)).named()
    repeated = report(*(np.repeat(column, copies) for column in (scores, targets, credit, forced_choice))).named()
    assert weighted == pytest.approx(repeated)
    expected = sklearn.metrics.balanced_accuracy_score(targets, scores >= 0.5, sample_weight=copies)
    assert weighted["forced_choice"] == pytest.approx(expected)
    assert weighted["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(targets, scores, sample_weight=copies))


def test_large_sources_weigh_the_same_and_small_ones_less():
    strata = np.repeat(["real/a", "real/b", "real/c", "fake/d"], [10, 1000, 5, 40])
    targets = np.repeat([0, 0, 0, 1], [10, 1000, 5, 40])
    weights = source_weights(strata, targets)
    share = {name: weights[strata == name].sum() for name in np.unique(strata)}
    assert weights.sum() == pytest.approx(1)
    assert share["fake/d"] == pytest.approx(0.5)
    assert share["real/b"] / share["real/a"] == pytest.approx(1000 / 1010 / 0.5)
    assert share["real/c"] / share["real/a"] == pytest.approx((5 / 15) / 0.5)
    alike = source_weights(strata, targets, half=0)
    assert [alike[strata == name].sum() for name in ("real/a", "real/b", "real/c")] == pytest.approx([1 / 6] * 3)
    faces = source_weights(strata, targets, half=float("inf"))
    assert faces[targets == 0] == pytest.approx(0.5 / 1015)
    thrice = source_weights(np.tile(strata, 3), np.tile(targets, 3), 1 / 3)
    assert thrice[: len(strata)] == pytest.approx(weights / 3)


def test_the_effective_count_is_that_of_faces_that_weigh_the_same():
    assert effective_count(np.ones(50)) == pytest.approx(50)
    assert effective_count(np.r_[np.ones(50), np.zeros(9)]) == pytest.approx(50)
    assert effective_count(np.array([1.0, 1e-9])) == pytest.approx(1)
