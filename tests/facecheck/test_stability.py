"""An answer that changes when a picture is saved again is no answer."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facecheck import crop, quality
from facecheck.checker import FaceChecker
from facecheck.error_rates import Stability
from facecheck.model.config import Decision
from facecheck.result import Prediction
from facecheck.stability import DELIVERIES, delivered

BOX = np.array([180.0, 60.0, 330.0, 250.0])


def test_the_copies_are_what_pillow_makes_of_the_crop(astronaut):
    copies = delivered(astronaut, BOX, 224, 1.3)
    assert copies.shape == (len(DELIVERIES), 224, 224, 3)
    assert copies.dtype == np.uint8
    patch = Image.fromarray(crop.face(astronaut, BOX, 247, 1.3))  # 1.3 times the longer side: pixel for pixel.
    for way, copy in zip(DELIVERIES, copies, strict=True):
        side, stream = round(247 * way.scale), io.BytesIO()
        patch.resize((side, side), Image.Resampling.BOX).save(stream, "JPEG", quality=way.jpeg_quality)
        expected = Image.open(stream).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(expected).astype(int) - copy).mean() < 4, way


def test_copies_lose_detail(astronaut):
    plain = quality.measure(astronaut, BOX, crop.face(astronaut, BOX, 224, 1.3)).sharpness
    half = quality.measure(astronaut, BOX, delivered(astronaut, BOX, 224, 1.3)[-1]).sharpness
    assert half < 0.8 * plain


@pytest.mark.parametrize("box", [[0, 0, 3, 3], [-40, -40, 20, 20], [0, 0, 5000, 5000], [10, 10, 10, 10]])
def test_faces_of_any_size_have_copies(astronaut, box):
    assert delivered(astronaut, box, 64, 1.3).shape == (3, 64, 64, 3)


def test_it_is_off_unless_asked_for(checker, grace):
    assert checker.predict(grace).faces[0].stability is None
    face = checker.predict(grace, stability=True).faces[0]
    assert len(face.stability.p_fake) == len(DELIVERIES)
    assert face.stability.low <= face.p_fake <= face.stability.high
    assert checker.stability is False


def test_the_scores_are_those_of_the_copies(checker, grace):
    face = checker.predict(grace, stability=True).faces[0]
    config = checker.config
    copies = delivered(grace, face.box, config.input_size, config.crop_margin)
    sizes = [face.size_px * way.scale for way in DELIVERIES]
    assert face.stability.p_fake == pytest.approx(checker.p_fake(copies, face_px=sizes).tolist(), abs=1e-6)


def test_a_verdict_that_flips_is_uncertain(tiny_model, checker, detector, grace, cat):
    first = checker.predict(grace, stability=True).faces[0]
    lowest, highest = first.stability.low, first.stability.high
    assert highest > lowest

    def judged(threshold: float) -> Prediction:
        decision = Decision(threshold=threshold, uncertain_from=threshold, uncertain_to=threshold)
        model = replace(tiny_model, config=replace(tiny_model.config, decision=decision))
        return FaceChecker(model, device="cpu", detector=detector, stability=True).predict(grace)

    between = judged((lowest + highest) / 2)
    assert between.faces[0].stability.flips
    assert between.verdict == "uncertain"
    assert between.reasons == ("unstable",)
    assert judged(highest + 0.01).verdict == "real"
    assert judged(lowest - 0.01).verdict == "fake"
    assert checker.predict([cat, b"junk"], stability=True)[0].verdict == "no_face"


def test_many_faces_keep_their_own(checker, grace, astronaut):
    together = checker.predict([grace, astronaut], stability=True)
    for picture, answer in zip((grace, astronaut), together, strict=True):
        alone = checker.predict(picture, stability=True).faces[0].stability
        assert answer.faces[0].stability.p_fake == pytest.approx(alone.p_fake, abs=1e-5)


def test_it_survives_json(checker, grace):
    answer = checker.predict(grace, stability=True)
    assert Prediction.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer


def test_the_sentence_says_what_happens():
    assert "stays the same" in Stability((0.1,), ("x",), 0.1, 0.2, flips=False).meaning
    assert "between 0.10 and 0.90" in Stability((0.1,), ("x",), 0.1, 0.9, flips=True).meaning
