"""Against scikit-learn's logistic regression, and by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.linear_model import LogisticRegression

from facecheck import calibration
from facecheck.model.checkpoint import load_model, save_model
from facecheck.model.config import Criteria, Decision
from training.calibrate import KNOTS_PX, choose_threshold, fit_decision, fit_scale, fit_scaling
from training.cli import main
from training.data import read_manifest
from training.evaluation.metrics import expected_calibration_error
from training.evaluation.observations import SMALL, CalibrationSet, observe

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 2, 4000)
LOGITS = 3.0 * (RNG.normal(size=4000) + (2 * TARGETS - 1) * 1.2) + 0.8


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


def test_knots_without_faces_are_the_pooled_fit(faces):
    scaling = fit_scaling(faces(face_px=300.0))
    pooled = scaling.temperature, scaling.bias
    assert [knot.face_px for knot in scaling.knots] == list(KNOTS_PX)
    assert [(knot.temperature, knot.bias) for knot in scaling.knots[:-1]] == [pooled] * 3
    assert (scaling.knots[-1].temperature, scaling.knots[-1].bias) == pytest.approx(pooled, rel=0.02)


def test_scores_that_shift_with_the_size_are_put_right(faces):
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


def test_the_size_of_a_face_says_nothing_about_its_class(faces):
    """Small faces are mostly real here, their logits no different: p_fake must not learn the share."""
    data = faces(4000)
    rare = np.random.default_rng(1).uniform(size=len(data)) < 0.1
    data = data.where((data.face_px > 60) | (data.targets == 0) | rare)
    scores = calibration.p_fake(np.zeros(2), fit_scaling(data), [30.0, 250.0])
    assert scores == pytest.approx([0.5, 0.5], abs=0.06)


def test_the_band_leaves_the_risk_that_was_asked_for_or_the_coverage(faces):
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


def test_sources_weigh_the_same_whatever_their_size(faces):
    """A source that is ten times as large, and accused, moves the threshold as far as a small one would."""
    data = faces(8000).delivered()
    small = data.where((data.sources != "real/s1") | (np.arange(len(data)) // 4 % 10 == 0))
    hard = [replace(part, logits=part.logits + 2.0 * (part.sources == "real/s1")) for part in (data, small)]
    large, few = (fit_decision(part, Criteria()).bias for part in hard)
    assert large == pytest.approx(few, abs=0.15)


def test_the_threshold_has_nearly_the_best_balanced_accuracy_and_the_band_its_share(faces):
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


def test_a_cap_holds_on_every_source_of_photographs(faces):
    data = faces(1200)
    data = replace(data, logits=data.logits + np.where(data.sources == "real/s1", 2.5, 0.0), tiers=np.full(2400, "web"))

    def worst(criteria: Criteria) -> float:
        decision = fit_decision(data, criteria)
        accused = calibration.p_fake(data.logits, decision, data.face_px) >= decision.threshold
        return max(accused[data.sources == f"real/s{i}"].mean() for i in range(4))

    assert worst(Criteria()) > 0.05
    assert 0.005 < worst(Criteria(source_cap=0.02)) <= 0.02


@pytest.mark.parametrize(
    "values", [{"source_cap": 0.02, "max_fpr": 0.01}, {"max_fpr": 0.0}, {"source_cap": 1.5}, {"uncertain_share": 1.5}]
)
def test_impossible_wishes_are_refused(values):
    with pytest.raises(ValueError, match=r"ask for one|must have"):
        Criteria(**values)


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
    monkeypatch.setattr("training.evaluation.corruptions.SMALLEST_BIN", 2)
    weights = save_model(tiny_model.network, tiny_model.config, tmp_path / "model")
    before = load_model(weights).config
    arguments = ["calibrate", str(weights), str(folder), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(main, [*arguments, "--sweep-faces", "4"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "On unseen sources nothing is measured" in result.stderr
    assert result.stdout.startswith("Sources it learned from.")
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
