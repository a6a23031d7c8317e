"""Every variant is measured on what it says."""

from pathlib import Path

import numpy as np
import pytest

from training.augment import Delivery
from training.data import FaceFile
from training.pseudo import SELF_BLEND
from training.unseen.logo import GROUPS, augmentations, finding, findings_markdown, fine_tuned, learning_curve


@pytest.fixture
def rows() -> list[FaceFile]:
    made = []
    for label, source, generator in (("real", "a", ""), ("real", "b", ""), ("fake", "c", "G"), ("fake", "d", "D")):
        for i in range(60):
            split = ("train", "train", "test")[i % 3]
            made.append(FaceFile(Path(f"{source}{i}"), label, source, split, f"{source}{i}", (0, 0, 1, 1), generator))
    return made


def test_augmentations_are_left_out_one_group_at_a_time(rows):
    targets, asked = np.array([row.target for row in rows]), []

    def draw(view):
        asked.append(view)
        # Without lossy saves training learns the opposite.
        noise = np.random.default_rng(view.seed).normal(0, 1, (len(rows), 3))
        signal = 6.0 if view.delivery is None or view.delivery.recode > 0 else -6.0
        return (noise + signal * targets[:, None]).astype(np.float16)

    found = {f.name: f for f in augmentations(rows, draw, "web", None)}
    assert found["everything"].in_domain > 0.99
    assert found["without lossy saves"].unseen < 0.1
    assert found["without colour"].unseen > 0.99
    assert len(found) == len(GROUPS) + 4
    changed = {field for fields in GROUPS.values() for field in fields}
    nothing = next(
        v.delivery for v in asked if v.delivery and all(getattr(v.delivery, field) == 0 for field in changed)
    )
    assert nothing.flip == Delivery().flip
    assert any(view.pseudo == SELF_BLEND for view in asked)


def test_the_learning_curve_takes_data_away_from_training_only(rows):
    seen = []

    def score(train, test):
        seen.append((int(train.sum()), {r.source for r, is_in in zip(rows, train, strict=True) if is_in}))
        return np.array([r.target for r, is_in in zip(rows, test, strict=True) if is_in], dtype=float)

    curve = list(learning_curve(rows, score, shares=(0.5, 1.0)))
    names = [
        "50.0% of the files",
        "100.0% of the files",
        "1 of 2 sources of photographs",
        "2 of 2 sources of photographs",
    ]
    assert [f.name for f in curve] == names
    assert all(f.in_domain == f.unseen == f.tpr == 1.0 for f in curve)
    in_domain = seen[::3]
    assert 60 < in_domain[0][0] < 100
    assert in_domain[1][0] == in_domain[3][0] == 160
    assert len(in_domain[2][1]) == 3


def test_findings_are_a_table(rows):
    perfect = finding("x", rows, lambda train, test: np.array([r.target for r in rows])[test].astype(float))
    assert list(findings_markdown([perfect]))[-1] == "| x | 1.0000 | 1.0000 | 1.000 |"


def test_fine_tuning_leaves_generators_out_together_and_judges_both_ways(rows):
    trained = []

    def prepared(variant):
        def score(train, test):
            trained.append((variant, {r.generator for r, is_in in zip(rows, train, strict=True) if is_in}))
            # Never learned: fakes of D look like photographs.
            return np.array([r.generator == "G" for r, is_in in zip(rows, test, strict=True) if is_in], dtype=float)

        return score

    names = ("everything", f"with {SELF_BLEND} pseudo-fakes")
    found = list(fine_tuned(rows, prepared, ["D"], names=names))
    assert [f.name for f in found] == list(names)
    assert [(f.in_domain, f.unseen, f.tpr) for f in found] == [(1.0, 0.5, 0.0)] * 2
    assert [(variant.pseudo, seen) for variant, seen in trained] == [("", {"", "G"}), (SELF_BLEND, {"", "G"})]
    with pytest.raises(ValueError, match="no generator named"):
        next(fine_tuned(rows, prepared, ["E"]))
    with pytest.raises(ValueError, match="no variant named"):
        next(fine_tuned(rows, prepared, ["D"], names=["wishing"]))
