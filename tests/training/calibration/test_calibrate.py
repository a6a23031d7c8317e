"""Against scikit-learn's logistic regression, scipy's order statistics and by simulation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.linear_model import LogisticRegression

from facecheck import calibration
from facecheck.model.checkpoint import load_model, save_model
from facecheck.model.config import Criteria, Decision
from training.__main__ import main
from training.calibration.budgets import conformal_threshold, measure_budgets
from training.calibration.calibrate import KNOTS_PX, choose_threshold, fit_decision, fit_scale, fit_scaling
from training.calibration.calibration_set import CalibrationSet
from training.calibration.crossfit import crossfit, decision_markdown, fit_and_state, source_halves
from training.data import FaceFile, read_manifest
from training.evaluation.metrics import expected_calibration_error
from training.evaluation.observations import SMALL, observe

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 2, 4000)
LOGITS = 3.0 * (RNG.normal(size=4000) + (2 * TARGETS - 1) * 1.2) + 0.8


def faces(count=600, seed=0, face_px=None, shift=0.0):
    """A validation set of `count` files in two tiers, four sources a class, groups of two."""
    rng = np.random.default_rng(seed)
    targets = np.tile(rng.integers(0, 2, count), 2)
    sizes = np.exp(rng.uniform(np.log(24), np.log(300), 2 * count)) if face_px is None else np.full(2 * count, face_px)
    logits = 2.0 * (rng.normal(size=2 * count) + (2 * targets - 1) * 1.5) + shift
    sources = np.array([f"{('real', 'fake')[t]}/s{i % 4}" for i, t in enumerate(targets)])
    groups = np.array([f"{t}-{i % count // 2}" for i, t in enumerate(targets)])
    return CalibrationSet(logits, sizes, targets, sources, groups, np.repeat(["clean", SMALL], count))


@pytest.mark.parametrize("weights", [np.ones(4000), RNG.uniform(0, 1, 4000)])
def test_temperature_and_bias_are_those_of_balanced_logistic_regression(weights):
    balanced = weights / np.where(TARGETS == 1, weights[TARGETS == 1].sum(), weights[TARGETS == 0].sum())
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    reference.fit(LOGITS[:, None], TARGETS, sample_weight=balanced * 4000)
    temperature, bias = fit_scale(LOGITS, TARGETS, weights)
    assert temperature == pytest.approx(1 / reference.coef_[0, 0], rel=1e-3)
    assert bias == pytest.approx(-reference.intercept_[0] / reference.coef_[0, 0], abs=2e-3)


def test_few_faces_stay_near_the_prior_and_many_leave_it():
    prior = 1.0, 0.0
    free = fit_scale(LOGITS, TARGETS, np.ones(4000))
    few, many = (fit_scale(LOGITS, TARGETS, np.full(4000, weight), prior) for weight in (0.0005, 100.0))
    assert few == pytest.approx(prior, abs=0.05)
    assert many == pytest.approx(free, abs=0.02)
    assert fit_scale(LOGITS, TARGETS, TARGETS.astype(float), prior) == prior
    with pytest.raises(ValueError, match="both classes"):
        fit_scale(LOGITS, TARGETS, TARGETS.astype(float))


def test_separated_scores_have_a_finite_scaling():
    temperature, bias = fit_scale(np.array([-1.0, 1.0]), np.array([0, 1]), np.ones(2))
    assert 0.04 < temperature < 1
    assert abs(bias) < 1


def test_knots_without_faces_are_the_pooled_fit():
    scaling = fit_scaling(faces(face_px=300.0))
    pooled = scaling.temperature, scaling.bias
    assert [knot.face_px for knot in scaling.knots] == list(KNOTS_PX)
    assert [(knot.temperature, knot.bias) for knot in scaling.knots[:-1]] == [pooled] * 3
    assert (scaling.knots[-1].temperature, scaling.knots[-1].bias) == pytest.approx(pooled, rel=0.02)


def test_scores_that_shift_with_the_size_are_put_right():
    data = faces(4000)
    shifted = replace(data, logits=data.logits + np.where(data.face_px < 48, 2.0, 0.0))
    scaling = fit_scaling(shifted)
    assert scaling.knots[0].bias > scaling.knots[-1].bias + 1
    small = shifted.where(shifted.face_px < 40)
    errors = [
        expected_calibration_error(calibration.p_fake(small.logits, scaling, sizes), small.targets)
        for sizes in (None, small.face_px)
    ]
    assert errors[1] < errors[0] / 2


def test_the_size_of_a_face_says_nothing_about_its_class():
    """Small faces are mostly real here, their logits no different: p_fake must not learn the share."""
    data = faces(4000)
    rare = np.random.default_rng(1).uniform(size=len(data)) < 0.1
    data = data.where((data.face_px > 60) | (data.targets == 0) | rare)
    scores = calibration.p_fake(np.zeros(2), fit_scaling(data), [30.0, 250.0])
    assert scores == pytest.approx([0.5, 0.5], abs=0.06)


def files(data):
    """A row of a manifest for each file of a calibration set."""
    first = {(source, group): k for k, (source, group) in enumerate(zip(data.sources, data.groups, strict=True))}
    return [
        FaceFile(Path("x"), source[:4], source[5:], "world", f"{group}", (0, 0, 1, 1), source[5:] * (source[0] == "f"))
        for source, group in first
    ]


def test_crossfitting_scales_each_face_without_its_source():
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


def test_rates_are_stated_from_sources_that_the_fit_has_not_seen():
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


def test_the_band_leaves_the_risk_that_was_asked_for_or_the_coverage():
    data = faces(4000).delivered()
    data = replace(data, logits=data.logits / 2)
    scores = calibration.p_fake(data.logits, fit_scaling(data), data.face_px)

    def answered(criteria):
        decision = fit_decision(data, criteria)
        outside = (scores < decision.uncertain_from) | (scores >= decision.uncertain_to)
        wrong = (scores >= decision.threshold) != (data.targets == 1)
        weights = data.weights
        return weights[outside].sum(), weights[outside & wrong].sum() / weights[outside].sum()

    before = answered(Criteria(uncertain_share=0.0))
    assert before[0] == pytest.approx(1)
    coverage, risk = answered(Criteria(max_risk=0.04, min_coverage=0.5))
    assert 0.03 < risk <= 0.04 < before[1]
    assert 0.6 < coverage < 1
    coverage, risk = answered(Criteria(max_risk=0.001, min_coverage=0.8))
    assert coverage == pytest.approx(0.8, abs=0.02)
    assert 0.001 < risk < before[1]
    assert answered(Criteria(max_risk=0.5))[0] == pytest.approx(1, abs=0.01)


def test_sources_weigh_the_same_whatever_their_size():
    """A source that is ten times as large, and accused, moves the threshold as far as a small one would."""
    data = faces(8000).delivered()
    small = data.where((data.sources != "real/s1") | (np.arange(len(data)) // 4 % 10 == 0))
    hard = [replace(part, logits=part.logits + 2.0 * (part.sources == "real/s1")) for part in (data, small)]
    large, few = (fit_decision(part, Criteria()).bias for part in hard)
    assert large == pytest.approx(few, abs=0.15)


def test_the_threshold_has_nearly_the_best_balanced_accuracy_and_the_band_its_share():
    data = faces()
    decision = fit_decision(data, Criteria(uncertain_share=0.1))
    shown = data.delivered()
    scores = calibration.p_fake(shown.logits, decision, shown.face_px)

    def accuracy(threshold: float) -> float:
        return ((scores[shown.targets == 1] >= threshold).mean() + (scores[shown.targets == 0] < threshold).mean()) / 2

    assert accuracy(decision.threshold) >= max(accuracy(t) for t in np.linspace(0, 1, 501)) - 0.004
    doubtful = (scores >= decision.uncertain_from) & (scores < decision.uncertain_to)
    assert doubtful.mean() == pytest.approx(0.1, abs=0.01)


def test_a_floor_holds_even_above_all_scores():
    assert choose_threshold(np.array([0.1, 0.2, 0.8]), np.array([0, 0, 1]), 0.9) == 0.9
    assert choose_threshold(np.array([0.1, 0.2, 0.8]), np.array([0, 0, 1])) == pytest.approx(0.5)


def test_a_cap_holds_on_every_source_of_photographs():
    data = faces(1200)
    data = replace(data, logits=data.logits + np.where(data.sources == "real/s1", 2.5, 0.0), tiers=np.full(2400, "web"))

    def worst(criteria: Criteria) -> float:
        decision = fit_decision(data, criteria)
        accused = calibration.p_fake(data.logits, decision, data.face_px) >= decision.threshold
        return max(accused[data.sources == f"real/s{i}"].mean() for i in range(4))

    assert worst(Criteria()) > 0.05
    assert 0.005 < worst(Criteria(source_cap=0.02)) <= 0.02


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


def test_budgets_state_the_recall_of_their_threshold():
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


def test_recall_is_never_certain():
    data = faces(800).delivered()
    (budget,) = measure_budgets(data.targets * 0.9, data, [0.05])
    assert budget.recall == budget.recall_high == 1
    assert 0.95 < budget.recall_low < 1
    assert measure_budgets(data.targets * 0.9, data, [0.0001]) == ()


def test_a_budget_may_be_what_ships():
    decision = fit_decision(faces(2000), Criteria(max_fpr=0.03))
    assert [budget.max_fpr for budget in decision.budgets] == [0.005, 0.01, 0.02, 0.03, 0.05]
    assert decision.threshold == decision.budget(0.03).threshold
    with pytest.raises(ValueError, match="too few photographs"):
        fit_decision(faces(100), Criteria(max_fpr=0.001))


@pytest.mark.parametrize(
    "values", [{"source_cap": 0.02, "max_fpr": 0.01}, {"max_fpr": 0.0}, {"source_cap": 1.5}, {"uncertain_share": 1.5}]
)
def test_impossible_wishes_are_refused(values):
    with pytest.raises(ValueError, match=r"ask for one|must have"):
        Criteria(**values)


def test_the_table_has_every_tier_source_and_budget():
    data = faces()
    text = decision_markdown(data, fit_decision(data, Criteria(budgets=(0.05, 0.1))))
    for start in ("| clean | 600", "| small | 600", "| real/s0 |", "| real/s3 |", "| 0.05 |", "| 0.1 |", "| 32 |"):
        assert start in text
    assert "fake/" not in text


@pytest.fixture
def folder(tmp_path, astronaut, grace):
    """Two photographs in both roles; MTCNN finds every face."""
    lines = ["file,label,source,split,group,x0,y0,x1,y1"]
    for label in ("real", "fake"):
        for name, picture, box in (("a", astronaut[:300, 80:380], "100,40,230,190"), ("b", grace, "190,120,330,300")):
            Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / f"{label}-{name}.jpg", quality=92)
            lines.append(f"{label}-{name}.jpg,{label},s{name},val,{label}{name},{box}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return tmp_path


def test_the_set_holds_the_logits_of_the_pipeline_whatever_the_config_says(checker, tiny_model, folder, tmp_path):
    rows = read_manifest(folder)
    scaled = replace(tiny_model, config=replace(tiny_model.config, decision=Decision(9.0, 0.9, 0.1, 0.95, 2.0)))
    data = CalibrationSet.of(observe(scaled, rows, cache=tmp_path, device="cpu"))
    assert data.tiers.tolist() == [tier for tier in ("clean", "web", "hard", SMALL) for _ in rows]
    face = checker.predict(rows[0].path).faces[0]
    assert data.logits[0] == pytest.approx(np.log(face.p_fake / (1 - face.p_fake)), abs=1e-5)
    assert data.face_px[0] == pytest.approx(face.size_px, abs=1e-3)
    assert data.face_px[data.tiers == SMALL].max() <= 130
    assert data.sources.tolist()[:4] == ["real/sa", "real/sb", "fake/sa", "fake/sb"]


def test_calibrate_runs_from_the_command_line(tiny_model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("training.calibration.limits.SMALLEST_BIN", 2)
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    before = load_model(weights).config
    arguments = ["calibrate", str(weights), str(folder), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(main, [*arguments, "--sweep-faces", "4"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "On unseen sources nothing is measured" in result.stderr
    config = load_model(weights).config
    assert len(config.decision.knots) == len(KNOTS_PX)
    assert config.limits != before.limits
    assert config.decision.fitted_on == "val"
    quick = [*arguments, "--sweep-faces", "0", "--source-cap", "0.02", "--uncertain-share", "0.5"]
    result = CliRunner().invoke(main, quick, catch_exceptions=False)
    assert "| small | 4 |" in result.stdout
    assert load_model(weights).config.limits == config.limits
    assert load_model(weights).config.decision.criteria == Criteria(source_cap=0.02, uncertain_share=0.5)
    both = CliRunner().invoke(main, [*arguments, "--source-cap", "0.02", "--max-fpr", "0.01"])
    assert both.exit_code == 2
    assert "ask for one" in both.stderr
    hopeless = CliRunner().invoke(main, [*arguments, "--max-fpr", "0.01"])
    assert hopeless.exit_code == 1
    assert "too few photographs" in hopeless.stderr
