"""Against order statistics and by simulation: what a budget promises, and what is left."""

import numpy as np
import pytest

from facecheck import calibration
from facecheck.model.config import Criteria, Decision
from training.calibrate import conformal_threshold, fit_decision, measure_budgets

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_the_conformal_threshold_is_the_order_statistic(rate):
    scores = RNG.uniform(size=500)
    threshold = conformal_threshold(scores, np.arange(500).astype(str), rate)
    assert threshold == np.nextafter(np.sort(scores)[int(np.ceil((1 - rate) * 501)) - 1], 1)


def test_too_few_photographs_have_no_threshold():
    groups = np.arange(98).astype(str)
    assert conformal_threshold(np.linspace(0, 0.5, 98), groups, 0.01) == np.inf
    assert conformal_threshold(np.linspace(0, 0.5, 99), np.arange(99).astype(str), 0.01) < 1
    assert conformal_threshold(np.linspace(0, 0.5, 99), np.append(groups, "0"), 0.01) == np.inf


@pytest.mark.parametrize("sizes", [(1, 1), (1, 6)])
def test_new_photographs_keep_the_rate_on_average(sizes):
    """Groups share most of their score; the promise is about one photograph of a group never seen."""
    rng, alarms = np.random.default_rng(3), []
    for _ in range(1500):
        members = rng.integers(*sizes, 61, endpoint=True)
        groups = np.repeat(np.arange(61), members)
        scores = rng.normal(size=61)[groups] + 0.3 * rng.normal(size=len(groups))
        seen = groups < 60
        threshold = conformal_threshold(scores[seen], groups[seen].astype(str), 0.1)
        alarms.append((scores[~seen] >= threshold).mean())
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.02)


def test_budgets_state_the_recall_of_their_threshold(faces):
    data = faces(2000).delivered()
    scores = calibration.p_fake(data.logits, Decision())
    strict, loose = measure_budgets(scores, data, [0.05, 0.01])
    assert strict.threshold > loose.threshold
    for budget in (strict, loose):
        assert (scores[data.targets == 0] >= budget.threshold).mean() <= budget.max_fpr
        fake = data.targets == 1
        caught = np.average(scores[fake] >= budget.threshold, weights=data.weights[fake])
        assert budget.recall == pytest.approx(caught)
        assert budget.recall_low < budget.recall < budget.recall_high
    fresh = faces(20_000, seed=7).delivered()
    caught = calibration.p_fake(fresh.logits[fresh.targets == 1], Decision()) >= strict.threshold
    assert strict.recall_low <= caught.mean() <= strict.recall_high


def test_recall_is_never_certain(faces):
    data = faces(800).delivered()
    (budget,) = measure_budgets(data.targets * 0.9, data, [0.05])
    assert budget.recall == budget.recall_high == 1
    assert 0.95 < budget.recall_low < 1
    assert measure_budgets(data.targets * 0.9, data, [0.0001]) == ()


def test_a_budget_may_be_what_ships(faces):
    decision = fit_decision(faces(2000), Criteria(max_fpr=0.03))
    assert [budget.max_fpr for budget in decision.budgets] == [0.005, 0.01, 0.02, 0.03, 0.05]
    assert decision.threshold == decision.budget(0.03).threshold
    with pytest.raises(ValueError, match="too few photographs"):
        fit_decision(faces(100), Criteria(max_fpr=0.001))
