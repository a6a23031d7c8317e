"""One noun, produced and consumed everywhere."""

import json

import pytest

from facecheck.error_rates import Budget
from facecheck.result import Face, ModelInfo, Prediction, Timing, Verdict


def face(verdict: str, p_fake: float, size: float = 100.0, reasons: tuple[str, ...] = ()) -> Face:
    return Face((0.0, 0.0, size, size), ((1.0, 2.0),) * 5, 0.99, p_fake, Verdict(verdict), reasons)


@pytest.mark.parametrize(
    ("faces", "verdict", "p_fake"),
    [
        ([], "no_face", None),
        ([face("real", 0.1)], "real", 0.1),
        ([face("real", 0.1), face("fake", 0.9)], "fake", 0.9),
        ([face("real", 0.1), face("uncertain", 0.5)], "uncertain", 0.5),
        ([face("fake", 0.9), face("uncertain", 0.5)], "fake", 0.9),
        ([face("real", 0.1), face("uncertain", 0.8, size=20)], "real", 0.1),
        ([face("uncertain", 0.5), face("real", 0.1, size=20)], "uncertain", 0.5),
        ([face("real", 0.1), face("fake", 0.9, size=20)], "fake", 0.9),
        ([face("real", 0.1, size=110), face("uncertain", 0.8), face("real", 0.2)], "real", 0.2),
        ([face("uncertain", 0.8), face("real", 0.1, size=90), face("real", 0.2, size=90)], "uncertain", 0.8),
    ],
)
def test_the_picture_speaks_for_its_faces(faces, verdict, p_fake):
    prediction = Prediction("a.jpg", (9, 9), tuple(faces))
    assert prediction.verdict == verdict
    assert prediction.p_fake == p_fake


def test_an_unreadable_input_has_no_verdict():
    prediction = Prediction("a.jpg", error="a.jpg: no such file")
    assert prediction.verdict is None
    assert prediction.p_fake is None
    assert Prediction.from_dict(json.loads(json.dumps(prediction.to_dict()))) == prediction


def test_a_prediction_survives_json():
    faces = (face("uncertain", 0.5, reasons=("blurred", "borderline")), face("real", 0.1))
    prediction = Prediction("a.jpg", (640, 480), faces, ModelInfo("m", "1", "ab"), Timing(1.0, 2.0, 3.0))
    values = json.loads(json.dumps(prediction.to_dict()))
    assert values["verdict"] == "uncertain"
    assert values["reasons"] == ["blurred", "borderline"]
    assert Prediction.from_dict(values) == prediction


def test_a_budget_travels_with_the_answer():
    prediction = Prediction("a.jpg", budget=Budget(0.01, 0.9, 0.8, 0.7, 0.85))
    values = json.loads(json.dumps(prediction.to_dict()))
    assert values["budget"]["max_fpr"] == 0.01
    assert Prediction.from_dict(values) == prediction
    assert "1.0%" in prediction.budget.meaning
    assert "80.0%" in prediction.budget.meaning


def test_an_answer_of_0_1_0_still_loads():
    values = Prediction("a.jpg").to_dict()
    del values["budget"]
    assert Prediction.from_dict(values) == Prediction("a.jpg")


def test_reasons_are_those_of_the_deciding_faces_once_each():
    faces = (face("uncertain", 0.5, reasons=("blurred",)), face("uncertain", 0.4, reasons=("blurred", "partial")))
    assert Prediction("a.jpg", (9, 9), faces).reasons == ("blurred", "partial")
    assert Prediction("a.jpg", (9, 9), (face("real", 0.1),)).reasons == ()


def test_real_never_promises_authenticity():
    assert Verdict.REAL.meaning == "no sign of generation found"
    assert all(verdict.meaning for verdict in Verdict)
