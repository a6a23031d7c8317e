"""What is drawn is what scikit-learn says of the same scores, and every picture says what it shows."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_auc_score

from training.evaluation import plots
from training.evaluation.corruptions import CurvePoint
from training.evaluation.plots import reliability_bins
from training.evaluation.summary import summarise

FIGURES = ("reliability", "roc", "coverage", "size", "robustness")


@pytest.fixture(scope="module")
def part(made_up):
    return made_up()


@pytest.fixture(scope="module")
def drawn(part):
    points = [CurvePoint(name, "unit", level, 9, 0.9, 0.8, 0.7, 0.1) for name in ("jpeg", "blur") for level in (3, 1)]
    figures = (
        plots.reliability({"clean": part}),
        plots.roc({"clean": part}),
        plots.coverage_against_risk({"clean": part}),
        plots.size_error([summarise("clean", part, rounds=2)]),
        plots.robustness(points),
    )
    return dict(zip(FIGURES, figures, strict=True))


def line(figure, label):
    (found,) = [item for item in figure.axes[0].get_lines() if str(item.get_label()).startswith(label)]
    return found.get_xdata(), found.get_ydata()


def test_the_reliability_curve_is_scikit_learns(made_up):
    part = made_up(6000)
    (axes, _) = plots.reliability({"clean": part}).axes
    (drawn,) = [item for item in axes.get_lines() if item.get_label() == "clean"]
    share, mean = calibration_curve(part.targets, part.p_fake, n_bins=15)
    np.testing.assert_allclose(drawn.get_ydata(), share)
    np.testing.assert_allclose(drawn.get_xdata(), mean)


def test_no_point_of_the_reliability_curve_rests_on_few_faces(part, drawn):
    rng = np.random.default_rng(0)
    for scores in (part.p_fake, rng.beta(0.2, 0.2, 400), rng.random(40), np.full(7, 0.3), np.r_[0.1, np.full(90, 0.9)]):
        bins = reliability_bins(scores)
        assert sum(map(np.sum, bins)) == len(scores)
        assert all(mask.sum() >= 30 for mask in bins) or len(bins) == 1
    counts = [int(text.get_text()) for text in drawn["reliability"].axes[0].texts]
    assert sum(counts) == len(part)
    assert min(counts) >= 30


def test_the_area_under_the_roc_curve_is_the_auc(part, drawn):
    fpr, tpr = line(drawn["roc"], "clean")
    # The axis begins at 0.1 %; what is cut off is smaller than that.
    assert auc(fpr, tpr) == pytest.approx(roc_auc_score(part.targets, part.p_fake), abs=2e-3)


def test_full_coverage_has_the_error_of_all_answers(part, drawn):
    coverage, risk = line(drawn["coverage"], "clean")
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(1 - part.forced_choice.mean())


def test_corruption_grows_to_the_right(drawn):
    jpeg, blur = drawn["robustness"].axes
    assert jpeg.xaxis_inverted()
    assert not blur.xaxis_inverted()


@pytest.mark.parametrize("name", FIGURES)
def test_every_picture_is_a_png_with_words(name, drawn):
    assert plots.png(drawn[name]).startswith(b"\x89PNG")
    assert all(axes.get_title() or axes.get_xlabel() for axes in drawn[name].axes)
    assert drawn[name].axes[0].get_ylabel()
