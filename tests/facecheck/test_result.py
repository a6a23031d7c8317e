"""One noun, produced and consumed everywhere."""

import json

import numpy as np
import pytest
from PIL import Image

from facecheck.error_rates import Budget
from facecheck.errors import ImageError
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


def test_it_prints_in_a_few_lines_and_names_write_nothing_to_the_terminal():
    faces = (face("fake", 0.97, 184), face("uncertain", 0.51, 33, ("face_too_small",)))
    told = Prediction("holiday\x1b[31m.jpg", (300, 200), faces)
    assert str(told).splitlines() == [
        r"holiday\x1b[31m.jpg: fake (looks generated), p_fake 0.97",
        "  face 1  fake       0.97   184 px  at (0, 0, 184, 184)",
        "  face 2  uncertain  0.51    33 px  at (0, 0, 33, 33)  face_too_small",
    ]
    assert repr(told) == r"Prediction('holiday\x1b[31m.jpg', fake, p_fake=0.970, 2 faces)"
    assert repr(faces[0]) == "Face(fake, p_fake=0.970, box=(0, 0, 184, 184))"
    unreadable = Prediction("a.jpg", error="a.jpg: no such file")
    assert str(unreadable) == "a.jpg: could not be read\n  no such file"
    assert repr(unreadable) == "Prediction('a.jpg', unreadable)"
    assert str(Prediction("cat.jpg", (9, 9))) == "cat.jpg: no_face (no face found)"


def test_it_draws_its_faces_on_their_picture(tmp_path):
    Image.new("RGB", (200, 150), "grey").save(tmp_path / "a.png")
    edge = Face((190.0, -10.0, 240.0, 30.0), (), 0.9, 0.2, Verdict.REAL)
    told = Prediction("a", (200, 150), (face("fake", 0.97, 60), edge), path=str(tmp_path / "a.png"))
    drawn = told.draw()
    assert drawn.size == (200, 150)
    changed = np.asarray(drawn) != 128
    assert changed[30:60, 58:62].any()  # The right edge of the first frame,
    assert not changed[100:, :].any()  # and nothing far from both.
    assert np.array_equal(np.asarray(told.draw(np.full((150, 200, 3), 128, np.uint8))), np.asarray(drawn))
    pixels = Prediction("<ndarray>", (200, 150), told.faces)
    with pytest.raises(ImageError, match=r"pass the picture: draw\(picture\)"):
        pixels.draw()
    assert pixels.draw(tmp_path / "a.png").size == (200, 150)


def test_a_notebook_shows_it_and_runs_nothing_of_it(tmp_path):
    Image.new("RGB", (200, 150), "grey").save(tmp_path / "a.png")
    told = Prediction("<script>alert(1)</script>", (200, 150), (face("fake", 0.97, 60),), path=str(tmp_path / "a.png"))
    shown = told._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert 'src="data:image/jpeg;base64,' in shown
    (tmp_path / "a.png").unlink()
    assert "<img" not in told._repr_html_()


def test_a_path_is_no_part_of_what_is_stored(tmp_path):
    told = Prediction("a.jpg", (9, 9), path="/home/ana/a.jpg")
    assert "path" not in told.to_dict()
    assert Prediction.from_dict(told.to_dict()) == told
    assert Prediction.from_dict(told.to_dict()).path is None
