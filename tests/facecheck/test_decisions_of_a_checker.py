"""From a score to a verdict: bands, limits, budgets, sizes, and a second look at what is close."""

from dataclasses import replace

import numpy as np
import pytest

from facecheck.checker import FaceChecker
from facecheck.error_rates import Budget
from facecheck.errors import ModelError
from facecheck.model.config import Decision, Knot, Limits


class Unsure:
    """Answers zero, and knows better when it is asked again."""

    margin = 0.5

    def __init__(self, answers):
        self.answers, self.asked = np.asarray(answers, np.float32), []

    def logits(self, faces):
        return self.answers[: len(faces)].copy()

    def exact_logits(self, faces):
        self.asked.append(len(faces))
        return np.full(len(faces), 7.0, np.float32)


def test_faces_near_a_border_get_a_second_look(tiny_model, detector):
    decision = Decision(threshold=0.5, uncertain_from=0.5, uncertain_to=0.5)
    checker = FaceChecker(
        replace(tiny_model, config=replace(tiny_model.config, decision=decision)), device="cpu", detector=detector
    )
    checker.classifier = Unsure([-3, -0.2, 0.4, 3])
    faces = np.zeros((4, 64, 64, 3), np.uint8)
    assert checker.p_fake(faces) == pytest.approx([0.047426, 0.999089, 0.999089, 0.952574], abs=1e-5)
    assert checker.classifier.asked == [2]
    checker.classifier = Unsure([-3, 3])
    checker.p_fake(faces[:2])
    assert checker.classifier.asked == []


def test_faces_beyond_the_limits_are_uncertain(tiny_model, detector, grace):
    strict = replace(tiny_model, config=replace(tiny_model.config, limits=Limits(min_face_px=10_000)))
    face = FaceChecker(strict, device="cpu", detector=detector).predict(grace).faces[0]
    assert face.verdict == "uncertain"
    assert face.reasons == ("face_too_small",)


def test_a_score_in_the_band_is_borderline(tiny_model, detector, grace):
    config = replace(
        tiny_model.config, decision=replace(tiny_model.config.decision, uncertain_from=0.0, uncertain_to=1.0)
    )
    face = FaceChecker(replace(tiny_model, config=config), device="cpu", detector=detector).predict(grace).faces[0]
    assert face.verdict == "uncertain"
    assert face.reasons == ("borderline",)


@pytest.fixture
def budgeted(tiny_model, checker, grace):
    """The tiny model, whose score of the portrait its own threshold calls fake; with a strict and a loose budget."""
    score = checker.predict(grace).p_fake
    budgets = Budget(0.01, score + 0.01, 0.8, 0.7, 0.9), Budget(0.05, score - 0.01, 0.9, 0.8, 1.0)
    own = Decision(1.0, score - 0.02, score - 0.03, score - 0.02, budgets=budgets)
    return replace(tiny_model, config=replace(tiny_model.config, decision=own))


def test_a_budget_withdraws_accusations_that_it_cannot_afford(budgeted, detector, grace, cat):
    assert FaceChecker(budgeted, device="cpu", detector=detector).predict(grace).verdict == "fake"
    strict = FaceChecker(budgeted, device="cpu", detector=detector, max_fpr=0.01)
    assert strict.predict(grace).verdict == "uncertain"
    assert strict.predict(grace).reasons == ("borderline",)
    assert strict.predict(cat).verdict == "no_face"
    assert FaceChecker(budgeted, device="cpu", detector=detector, max_fpr=0.05).predict(grace).verdict == "fake"


def test_a_call_may_have_its_own_budget(budgeted, detector, grace):
    checker = FaceChecker(budgeted, device="cpu", detector=detector, max_fpr=0.05)
    answers = checker.predict([grace, b"junk"], max_fpr=0.01)
    assert answers[0].verdict == "uncertain"
    assert [answer.budget.recall for answer in answers] == [0.8, 0.8]
    assert checker.predict(grace).budget.recall == 0.9
    assert FaceChecker(budgeted, device="cpu", detector=detector).predict(grace).budget is None


def test_a_budget_that_was_not_measured_is_refused(budgeted, checker, detector, grace):
    with pytest.raises(ModelError, match=r"use one of 0\.01, 0\.05"):
        FaceChecker(budgeted, device="cpu", detector=detector, max_fpr=0.03)
    with pytest.raises(ModelError, match="it has none"):
        checker.predict(grace, max_fpr=0.01)


def test_the_size_of_a_face_chooses_its_scaling(tiny_model, checker, detector, grace):
    knots = Knot(100, 1.0, 0.0), Knot(400, 3.0, 1.0)
    sized = replace(tiny_model, config=replace(tiny_model.config, decision=Decision(knots=knots)))
    face = FaceChecker(sized, device="cpu", detector=detector, precision="f32").predict(grace).faces[0]
    plain = checker.predict(grace).faces[0]
    way = np.log(face.size_px / 100) / np.log(4)
    logit = np.log(plain.p_fake / (1 - plain.p_fake))
    assert face.p_fake == pytest.approx(1 / (1 + np.exp(-(logit - way) / (1 + 2 * way))), abs=1e-5)


def test_a_model_that_gives_no_numbers_gives_no_verdict(checker, grace, monkeypatch):
    monkeypatch.setattr(checker.classifier, "logits", lambda faces: np.full(len(faces), np.nan, np.float32))
    with pytest.raises(ModelError, match="no number"):
        checker.predict(grace)
