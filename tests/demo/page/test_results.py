"""What a visitor sees and reads."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from demo import texts
from demo.page import panels, results
from demo.server.service import Judged
from facecheck.detection.second_look import TURNED
from facecheck.error_rates import ChanceOfError, Stability
from facecheck.errors import ImageError
from facecheck.explain import wording
from facecheck.model.config import Decision
from facecheck.provenance import Claim, Finding, Provenance, Strength
from facecheck.result import Face, ModelInfo, Prediction, Reason, Timing, Verdict

PICTURE = np.full((300, 400, 3), 127, np.uint8)


def face(p_fake: float, verdict: Verdict, *reasons: Reason, at: float = 50) -> Face:
    return Face((at, 50.0, at + 100, 170.0), (), 1.0, p_fake, verdict, reasons)


def prediction(*faces: Face) -> Prediction:
    return Prediction("picture", (400, 300), faces, ModelInfo("<b>", "1", ""), Timing(100, 200, 300))


REAL, FAKE = face(0.02, Verdict.REAL), face(0.98, Verdict.FAKE, at=200)
UNSURE = face(0.5, Verdict.UNCERTAIN, Reason.FACE_TOO_SMALL, Reason.BORDERLINE)


@pytest.mark.parametrize(
    ("faces", "headline"),
    [
        ((), "No face found"),
        ((REAL,), "No sign of generation found"),
        ((FAKE,), "This face looks generated"),
        ((REAL, FAKE), "1 of 2 faces looks generated"),
        ((REAL, FAKE, FAKE), "2 of 3 faces look generated"),
        ((UNSURE,), "This face cannot be judged"),
        ((UNSURE, UNSURE), "These faces cannot be judged"),
    ],
)
def test_the_verdict_is_one_plain_line(faces, headline):
    html = results.answer(Judged(PICTURE, prediction(*faces)), Decision())
    assert f"</span>{headline}</h2>" in html
    ElementTree.fromstring(f"<div>{html}</div>")  # Well-formed, every attribute quoted.


def test_every_face_has_a_box_a_card_a_probability_and_its_reasons():
    html = results.answer(Judged(PICTURE, prediction(REAL, UNSURE)), Decision())
    root = ElementTree.fromstring(f"<div>{html}</div>")
    assert len(root.findall(".//g/rect")) == len(root.findall(".//li/img")) == 2
    assert [meter.get("aria-valuenow") for meter in root.iterfind(".//*[@role='meter']")] == ["2", "50"]
    assert wording.REASONS[Reason.FACE_TOO_SMALL] in html and wording.REASONS[Reason.BORDERLINE] in html
    assert "Judged in 0.60 s" in html and "400 x 300" in html
    assert all(image.get("alt") for image in root.iterfind(".//img"))


def test_what_is_known_beside_the_score_is_told():
    seen = replace(
        REAL,
        stability=Stability((0.02, 0.31), ("JPEG quality 75", "JPEG quality 45"), 0.02, 0.31, flips=False),
        expected_error=ChanceOfError(0.05, 0.04, 0.0625, 0.5, 500, 20),
    )
    html = results.answer(Judged(PICTURE, prediction(seen)), Decision())
    assert "The score lies between 2 of 100 and 31 of 100 when the picture is saved and resized again." in html
    assert "wrong about 1 time in 20" in html
    assert "Where the model looked" in html and 'data-face="1"' in html


def test_what_the_file_says_is_a_panel_of_its_own_and_escaped():
    told = Provenance(
        "PNG", (Finding("text", Strength.DECLARED, "made by <b>", Claim.GENERATED, {"prompt": "<script>"}),)
    )
    html = results.answer(Judged(PICTURE, replace(prediction(REAL), provenance=told)), Decision())
    assert "What the file says" in html and "made by &lt;b&gt;" in html and "<script>" not in html
    assert "Both stand as they are" in html and "No sign of generation found" in html
    absent = results.answer(Judged(PICTURE, replace(prediction(REAL), provenance=Provenance("PNG"))), Decision())
    assert "That means nothing" in absent


def test_a_crowd_is_folded_and_warned_of():
    html = results.answer(Judged(PICTURE, prediction(*[REAL] * 24)), Decision())
    assert "Show 12 smaller faces" in html and wording.CROWD in html and "and 12 more" in html


def test_a_turned_picture_says_so():
    turned = replace(prediction(REAL), turned=1, problems=(TURNED,))
    assert TURNED in results.answer(Judged(PICTURE, turned), Decision())


def test_what_comes_from_outside_is_escaped():
    hostile = replace(prediction(UNSURE), source="<img src=x>", model=ModelInfo("<script>", "<b> 1", ""))
    html = results.answer(Judged(PICTURE, hostile), Decision()) + panels.message("<script>", "<script>")
    assert "<script" not in html and "<img src=x" not in html and "<b> 1" not in html


@pytest.mark.parametrize(
    ("p_fake", "text"), [(0.0, "under 1 of 100"), (0.034, "3 of 100"), (0.5, "50 of 100"), (1.0, "over 99 of 100")]
)
def test_the_model_is_never_certain(p_fake, text):
    assert wording.points(p_fake) == text


def test_no_sentence_promises_authenticity():
    said = " ".join(str(value) for module in (texts, wording) for value in vars(module).values())
    for match in re.finditer(r"[^.]*\b(authentic|genuine|verified|trustworthy)\b[^.]*", said):
        assert re.search(r"not|never", match.group())
    assert wording.HEADLINES[Verdict.REAL] == "No sign of generation found"


def test_an_unreadable_file_is_explained_without_its_internals():
    headline, sentence = texts.unreadable(ImageError("<12 bytes>: is empty; the upload may have failed"))
    assert (headline, sentence) == (texts.UNREADABLE, "Is empty; the upload may have failed.")
