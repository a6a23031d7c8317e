"""Numbers by hand and against scikit-learn, on a table that was made up."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evaluation.scores import Scores
from training.evaluation.summary import (
    compare,
    fairness,
    generators,
    intervals,
    report_of,
    sizes,
    sources,
    summarise,
    threshold_at,
    worst,
)

RNG = np.random.default_rng(0)


def test_every_generator_stands_against_all_photographs(made_up):
    part = made_up()
    found = {g.name: g for g in generators(part)}
    assert set(found) == {"GAN", "diffusion"}
    real = part.p_fake[part.label == "real"]
    limit = np.sort(real)[-4]  # 1 % of 300: three photographs above it.
    for name, g in found.items():
        mine = part.p_fake[part.generator == name]
        targets = np.r_[np.zeros(len(real)), np.ones(len(mine))]
        assert g.auc == pytest.approx(roc_auc_score(targets, np.r_[real, mine]))
        assert g.tpr == pytest.approx((mine > limit).mean())
        assert g.true_positive_rate.rate == pytest.approx((mine >= 0.5).mean())
        assert g.true_positive_rate.low < g.true_positive_rate.rate < g.true_positive_rate.high


def test_no_more_false_alarms_than_asked():
    scores = np.r_[np.full(5, 0.9), RNG.random(195) * 0.8]
    assert (scores > threshold_at(scores, 0.01)).mean() <= 0.01
    assert (scores > threshold_at(scores, 0.03)).mean() == 0.03


def test_the_error_of_a_real_source_is_its_false_alarm_rate(row):
    rows = [
        row(k, "real", 0.9 if k < 3 else 0.1, source="press", verdict="uncertain" if k < 2 else "real")
        for k in range(30)
    ]
    rows += [row(k, "fake", 0.2, source="small") for k in range(30, 35)]
    part = Scores.from_rows(rows)
    press = next(source for source in sources(part) if source.name == "real/press")
    assert (press.faces, press.error.rate, press.uncertain) == (30, 0.1, pytest.approx(2 / 30))
    assert worst([source.error for source in sources(part)]).name == "real/press"  # five faces are too few
    assert summarise("clean", part, rounds=20).worst_real.rate == 0.1
    assert summarise("clean", part, rounds=20).worst_fake is None
    assert worst([]) is None


def test_size_bins_hold_their_low_edge(row):
    pixels = [31.9, 32, 47, 48, 300, float("nan")]
    part = Scores.from_rows(row(k, "real", 0.9 if k == 2 else 0.1, face_px=px) for k, px in enumerate(pixels))
    assert [(s.name, s.faces, s.rate) for s in sizes(part)] == [
        ("0 to 32", 1, 0), ("32 to 48", 2, 0.5), ("48 to 64", 1, 0), ("from 256", 1, 0),
    ]  # fmt: skip


def test_fairness_slices_only_what_is_known(row):
    people = [
        ("1", "female", "Asian", 0.9),
        ("25", "female", "", 0.1),
        ("", "male", "Black", 0.1),
        ("60", "", "Black", 0.1),
    ]
    rows = [row(k, "real", p, age=a, gender=g, ethnicity=e) for k, (a, g, e, p) in enumerate(people)]
    part = Scores.from_rows([*rows, row(9, "fake", 0.1, gender="male", age="adult")])
    found = {(s.attribute, s.label, s.error.name): (s.error.faces, s.error.rate) for s in fairness(part)}
    assert found == {
        ("age", "real", "0 to 3"): (1, 1.0), ("age", "real", "20 to 40"): (1, 0.0),
        ("age", "real", "from 60"): (1, 0.0),
        ("gender", "real", "female"): (2, 0.5), ("gender", "real", "male"): (1, 0.0),
        ("ethnicity", "real", "Asian"): (1, 1.0), ("ethnicity", "real", "Black"): (2, 0.0),
        ("gender", "fake", "male"): (1, 1.0), ("age", "fake", "adult"): (1, 1.0),
    }  # fmt: skip


def test_intervals_hold_the_metrics_they_belong_to(made_up):
    part = made_up()
    values, found = report_of(part).named(), intervals(part, rounds=60)
    assert list(found) == list(values)
    assert all(
        found[name][0] <= values[name] <= found[name][1] for name in ("auc", "ap", "forced_choice", "tpr@5.0%", "brier")
    )


def test_a_model_does_not_differ_from_itself(made_up):
    part = made_up(200)
    for item in compare(part, part.where(RNG.permutation(200)), rounds=40):
        assert (item.difference, item.low, item.high, item.p_value) == (0, 0, 0, 1)


def test_a_clearly_better_model_is_found_and_noise_is_not(made_up):
    weak, strong, other = made_up(shift=0.1), made_up(shift=0.25), made_up(shift=0.1, seed=7)
    found = {item.metric: item for item in compare(weak, strong, rounds=100)}
    for metric in ("auc", "ap", "forced_choice", "tpr@5.0%"):
        assert 0 < found[metric].low < found[metric].difference < found[metric].high
        assert found[metric].p_value == pytest.approx(2 / 101)
        assert found[metric].difference == pytest.approx(found[metric].second - found[metric].first)
    assert found["brier"].high < 0
    same = {item.metric: item for item in compare(weak, other, rounds=100)}["auc"]
    assert same.low < 0 < same.high
    assert same.p_value > 0.05


def test_only_the_same_files_can_be_compared(row, made_up):
    part = made_up(40)
    with pytest.raises(ValueError, match="same files"):
        compare(part, part.where(np.arange(39)))
    with pytest.raises(ValueError, match="no tier in common: clean against web"):
        compare(part, Scores.from_rows([row(0, "real", 0.1, tier="web")]))
