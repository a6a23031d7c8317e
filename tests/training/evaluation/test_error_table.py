"""The worth of an answer, against the truth of a simulation and scikit-learn's isotonic regression."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from facecheck.calibration import chance_of_error, share_of_fakes
from facecheck.error_rates import ErrorTable
from training.evaluation.error_table import EDGES, SMALLEST_BAND, answer_bands
from training.evaluation.scores import Scores


def drawn(row, count, seed, sources=12, spread=0.0):
    """Photographs at N(-0.8, 1), fakes at N(0.8, 1), p_fake as Bayes has it; their sources are shifted."""
    rng = np.random.default_rng(seed)
    shifts = rng.normal(0, spread, (2, sources))
    rows = []
    for k in range(count):
        fake = k % 2
        source = int(rng.integers(sources))
        place = rng.normal(1.6 * fake - 0.8, 1) + shifts[fake, source]
        p_fake = 1 / (1 + np.exp(-1.6 * place))
        rows.append(row(k, ("real", "fake")[fake], float(p_fake), source=f"s{source}"))
    return Scores.from_rows(rows)


def test_the_ratio_is_that_of_the_two_densities(row):
    bands = answer_bands(drawn(row, 12_000, 0), rounds=40)
    assert (bands[0].low, bands[-1].high) == (0.0, 1.0)
    assert all(first.high == second.low for first, second in itertools.pairwise(bands))
    for band in bands:
        low, high = (np.log(p / (1 - p)) / 1.6 if 0 < p < 1 else np.inf * (2 * p - 1) for p in (band.low, band.high))
        fake, real = (norm.cdf(high, mean) - norm.cdf(low, mean) for mean in (0.8, -0.8))
        assert band.ratio_low < fake / real < band.ratio_high
        if min(fake, real) * 6000 > 40:
            assert band.likelihood_ratio == pytest.approx(fake / real, rel=0.3)


def test_the_chance_is_the_share_of_wrong_answers_at_any_prevalence(row):
    """Counted in fresh faces of which so many are generated, against what the table says."""
    table = ErrorTable(split="world", bands=answer_bands(drawn(row, 12_000, 0), rounds=40))
    fresh = drawn(row, 40_000, 1)
    rng = np.random.default_rng(2)
    for prevalence in (0.5, 0.1):
        chosen = fresh.where((fresh.targets == 0) | (rng.random(len(fresh)) < prevalence / (1 - prevalence)))
        for verdict, low, high in (("fake", 0.9, 0.95), ("real", 0.05, 0.1)):
            inside = (chosen.p_fake >= low) & (chosen.p_fake < high)
            wrong = (chosen.targets[inside] == 1) == (verdict == "real")
            said = chance_of_error(table, verdict, (low + high) / 2, prevalence)
            assert said.low < wrong.mean() < said.high
            assert said.chance == pytest.approx(wrong.mean(), rel=0.25)


def test_a_higher_score_is_never_worth_less(row):
    scores = drawn(row, 3000, 3)
    shuffled = np.where((scores.p_fake > 0.3) & (scores.p_fake < 0.9), 1.2 - scores.p_fake, scores.p_fake)
    upset = Scores(**{**vars(scores), "p_fake": shuffled})
    bands = answer_bands(upset, rounds=20)
    ratios = [band.likelihood_ratio for band in bands]
    assert ratios == sorted(ratios)
    assert len(bands) < len(answer_bands(scores, rounds=20))
    fit = IsotonicRegression().fit(np.searchsorted(EDGES, shuffled, side="right"), upset.targets, upset.weights)
    pooled = next(band for band in bands if band.low <= 0.5 < band.high)
    share = share_of_fakes(pooled, 0.5)[0]
    assert share == pytest.approx(fit.predict([np.searchsorted(EDGES, 0.5, side="right")])[0], abs=0.05)


def test_small_bands_are_joined_and_nothing_is_certain(row):
    bands = answer_bands(drawn(row, 120, 4), rounds=40)
    assert all(band.faces >= SMALLEST_BAND for band in bands)
    assert all(0 < band.ratio_low < band.likelihood_ratio < band.ratio_high < np.inf for band in bands)


def test_sources_that_differ_widen_the_interval(row):
    def width(spread):
        bands = answer_bands(drawn(row, 6000, 5, spread=spread), rounds=100)
        band = next(band for band in bands if band.low <= 0.85 < band.high)
        return np.log(band.ratio_high / band.ratio_low)

    assert width(1.0) > 2 * width(0.0)
