"""Rates are stated from sources that a fit has not seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facecheck import calibration
from facecheck.model.config import Criteria, Decision
from training.calibrate import fit_decision
from training.crossfit import crossfit, decision_markdown, fit_and_state, source_halves
from training.data import FaceFile
from training.evaluation.metrics import expected_calibration_error


def test_crossfitting_scales_each_face_without_its_source(faces, files):
    data = faces(300, shift=2.0)
    fit = crossfit(data, files(data), Criteria(budgets=(0.05,)))
    scores = fit.p_fake(data)
    assert expected_calibration_error(scores, data.targets) < expected_calibration_error(
        calibration.p_fake(data.logits, Decision()), data.targets
    )
    for half in (0, 1):
        mine = np.array([fit.halves[name] == half for name in data.sources.tolist()])
        others = fit_decision(data.where(~mine), Criteria(budgets=(0.05,)))
        assert scores[mine] == pytest.approx(calibration.p_fake(data.logits, others, data.face_px)[mine])
    one = data.where(np.isin(data.sources, ("real/s0", "fake/s0", "fake/s1")))
    assert crossfit(one, files(one), Criteria()) is None


def test_halves_share_out_both_classes_and_keep_groups_whole():
    def row(label, source, group, generator=""):
        return FaceFile(Path("x"), label, source, "world", group, (0, 0, 1, 1), generator)

    rows = [row("real", f"r{k}", f"r{k}{n}") for k in range(8) for n in range(10 * k + 1)]
    rows += [row("fake", f"f{k}", f"f{k}{n}", ("gemini-2", "flux dev")[k % 2]) for k in range(8) for n in range(5)]
    halves = source_halves(rows)
    for label in ("real", "fake"):
        sides = [halves[name] for name in halves if name.startswith(label)]
        assert sum(sides) == len(sides) / 2
    for generator in ("gemini-2", "flux dev"):
        mine = {halves[f"fake/{r.source}"] for r in rows if r.generator == generator}
        assert mine == {0, 1}
    joined = source_halves([*rows, row("real", "r0", "both"), row("fake", "f3", "both")])
    assert joined["real/r0"] == joined["fake/f3"]


def test_rates_are_stated_from_sources_that_the_fit_has_not_seen(faces, files):
    """One source is easy for a fit that knows it and hard for one that does not; what ships says the latter."""
    data = faces(2000).delivered()
    shifted = replace(data, logits=data.logits + 6.0 * (data.sources == "real/s1"))
    decision, fit = fit_and_state(shifted, files(shifted), Criteria(budgets=(0.05,)), "world")
    (budget,) = decision.budgets
    called = fit.called(shifted, 0.05)
    real = shifted.targets == 0
    per_source = [called[real & (shifted.sources == f"real/s{k}")].mean() for k in range(4)]
    assert budget.fpr == pytest.approx(np.average(called[real], weights=shifted.weights[real]))
    assert budget.fpr == pytest.approx(np.mean(per_source), abs=0.01)
    assert budget.fpr > 0.1 > budget.max_fpr
    assert budget.fpr_low < budget.fpr < budget.fpr_high
    assert decision.fitted_on == "world"
    assert decision.threshold == fit_decision(shifted, Criteria(budgets=(0.05,))).threshold


def test_the_table_has_every_tier_source_and_budget(faces):
    data = faces()
    text = decision_markdown(data, fit_decision(data, Criteria(budgets=(0.05, 0.1))))
    for start in ("| clean | 600", "| small | 600", "| real/s0 |", "| real/s3 |", "| 0.05 |", "| 0.1 |", "| 32 |"):
        assert start in text
    assert "fake/" not in text
