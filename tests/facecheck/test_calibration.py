"""Against torch's optimiser and by hand."""

import numpy as np
import pytest
import torch

from facecheck import calibration
from facecheck.models import Decision
from facecheck.result import Verdict

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 2, 4000)
LOGITS = 3.0 * (RNG.normal(size=4000) + (2 * TARGETS - 1) * 1.2)


def test_p_fake_is_the_sigmoid_and_never_overflows():
    expected = torch.sigmoid(torch.tensor(LOGITS) / 1.7)
    np.testing.assert_allclose(calibration.p_fake(LOGITS, 1.7), expected)
    assert calibration.p_fake([-1e9, 0, 1e9], 1.0).round(6).tolist() == [0, 0.5, 1]


def test_the_temperature_is_the_one_torch_finds():
    scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale], max_iter=200)
    fake = torch.tensor(TARGETS == 1)
    weight = torch.where(fake, 1 / fake.sum(), 1 / (~fake).sum())

    def loss():
        optimiser.zero_grad()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(LOGITS) / scale.exp(), fake.double(), reduction="none"
        )
        total = (each * weight).sum()
        total.backward()
        return total

    optimiser.step(loss)
    assert calibration.fit_temperature(LOGITS, TARGETS) == pytest.approx(scale.exp().item(), rel=0.002)


def test_the_decision_has_nearly_the_best_balanced_accuracy_and_the_band_asked_for():
    decision = calibration.choose_decision(LOGITS, TARGETS, doubtful=0.1)
    scores = calibration.p_fake(LOGITS, decision.temperature)

    def accuracy(threshold: float) -> float:
        return ((scores[TARGETS == 1] >= threshold).mean() + (scores[TARGETS == 0] < threshold).mean()) / 2

    assert accuracy(decision.threshold) >= max(accuracy(t) for t in np.linspace(0, 1, 501)) - 0.002
    doubtful = (scores >= decision.uncertain_from) & (scores < decision.uncertain_to)
    assert doubtful.mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.0, "real"), (0.29, "real"), (0.3, "uncertain"), (0.59, "uncertain"), (0.6, "fake"), (1.0, "fake")],
)
def test_verdicts(probability, expected):
    assert calibration.verdict(probability, Decision(1.0, 0.4, 0.3, 0.6)) == Verdict(expected)


def test_without_a_band_the_threshold_decides():
    assert calibration.verdict(0.4, Decision(1.0, 0.4, 0.4, 0.4)) == "fake"
    assert calibration.verdict(0.399, Decision(1.0, 0.4, 0.4, 0.4)) == "real"
