"""From logits to probabilities and verdicts, and how the numbers in between are chosen on validation data."""

import numpy as np
import numpy.typing as npt

from facecheck.models import Decision
from facecheck.result import Verdict

Floats = npt.NDArray[np.float64]
BORDERLINE = "borderline"


def p_fake(logits: npt.ArrayLike, temperature: float) -> Floats:
    """(N,) logits -> (N,) probabilities: sigmoid(logit / temperature) (Guo et al. 2017, temperature scaling)."""
    scaled = np.clip(np.asarray(logits, dtype=np.float64) / temperature, -60, 60)
    return np.asarray(1 / (1 + np.exp(-scaled)))


def verdict(probability: float, decision: Decision) -> Verdict:
    """The verdict for one face that is good enough to be judged."""
    if decision.uncertain_from <= probability < decision.uncertain_to:
        return Verdict.UNCERTAIN
    return Verdict.FAKE if probability >= decision.threshold else Verdict.REAL


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """The temperature with the least log loss, both classes weighing the same.

    Args:
        logits: (N,). targets: (N,), 1 = fake; both classes must occur.
    """
    scores, fake = np.asarray(logits, dtype=np.float64), np.asarray(targets).astype(bool)

    def loss(temperature: float) -> float:
        signed = np.where(fake, scores, -scores) / temperature
        each = np.logaddexp(0, -signed)
        return float(each[fake].mean() + each[~fake].mean())

    # The loss has one minimum in log(temperature); three rounds of a finer grid find it to 0.1 %.
    low, high = np.log(0.05), np.log(20.0)
    for _ in range(4):
        grid = np.linspace(low, high, 41)
        best = int(np.argmin([loss(float(np.exp(value))) for value in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 40)]
    return float(np.exp((low + high) / 2))


def choose_decision(logits: npt.ArrayLike, targets: npt.ArrayLike, doubtful: float = 0.02) -> Decision:
    """Temperature, threshold and uncertain band from validation logits.

    Args:
        logits: (N,), targets: (N,), 1 = fake.
        doubtful: share of all faces, the ones nearest to the threshold, that are answered with `uncertain`.

    Returns:
        The threshold has the highest balanced accuracy; the band holds the nearest `doubtful` / 2 on each side.
    """
    temperature = fit_temperature(logits, targets)
    probabilities, fake = p_fake(logits, temperature), np.asarray(targets).astype(bool)
    order = np.sort(probabilities)
    candidates = (order[:-1] + order[1:]) / 2
    caught = 1 - np.searchsorted(np.sort(probabilities[fake]), candidates) / fake.sum()
    cleared = np.searchsorted(np.sort(probabilities[~fake]), candidates) / (~fake).sum()
    balanced = (caught + cleared) / 2
    # The middle of all near-best thresholds is steadier than the single best one.
    threshold = float(np.median(candidates[balanced >= balanced.max() - 0.001]))
    rank = np.searchsorted(order, threshold) / len(order)
    low, high = np.quantile(order, [max(rank - doubtful / 2, 0), min(rank + doubtful / 2, 1)])
    return Decision(
        temperature,
        threshold=round(threshold, 4),
        uncertain_from=round(min(float(low), threshold), 4),
        uncertain_to=round(max(float(high), threshold), 4),
    )
