"""The measurements move with the damage they stand for, and with nothing else."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from facecheck import crop, image, quality
from facecheck.checker import FaceChecker
from facecheck.detection.detector import Detections
from facecheck.model.checkpoint import Model
from facecheck.model.config import Limits

BOX = np.array([180.0, 60.0, 330.0, 250.0])


def measured(picture: np.ndarray, box: np.ndarray = BOX) -> quality.Quality:
    return quality.measure(picture, box, crop.face(picture, box, 224, 1.3))


def saved(picture: np.ndarray, jpeg_quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=jpeg_quality)
    return image.load(stream.getvalue())


def test_blockiness_grows_as_the_jpeg_quality_falls(astronaut):
    values = [measured(saved(astronaut, q)).blockiness for q in (90, 40, 20, 10, 5)]
    assert values == sorted(values)
    assert values[0] < 1.3
    assert values[-1] > 2.5


def test_blockiness_is_the_same_in_another_container(astronaut):
    picture = saved(astronaut, 15)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    assert measured(image.load(stream.getvalue())).blockiness == measured(picture).blockiness


def test_sharpness_falls_with_blur(astronaut):
    values = [measured(cv2.GaussianBlur(astronaut, (0, 0), sigma)).sharpness for sigma in (0.1, 1, 2, 4)]
    assert values == sorted(values, reverse=True)


def test_size_and_completeness(astronaut):
    whole = measured(astronaut)
    assert (whole.face_px, whole.outside) == (190.0, 0.0)
    half = measured(astronaut, np.array([-50.0, 100.0, 50.0, 200.0]))
    assert half.outside == pytest.approx(0.5)


def test_faces_too_small_for_a_grid_show_no_blocks(astronaut):
    assert measured(astronaut, np.array([10.0, 10.0, 24.0, 24.0])).blockiness == 1.0


def test_each_limit_has_its_reason(astronaut):
    found = measured(astronaut)
    assert quality.reasons(found, Limits()) == ()
    assert quality.reasons(found, Limits(min_face_px=500)) == ("face_too_small",)
    assert quality.reasons(found, Limits(min_sharpness=500)) == ("blurred",)
    assert quality.reasons(found, Limits(max_blockiness=0.5)) == ("heavy_compression",)
    outside = measured(astronaut, np.array([-50.0, 100.0, 50.0, 200.0]))
    assert quality.reasons(outside, Limits(max_outside=0.4)) == ("partial",)


def drawn(picture: np.ndarray) -> np.ndarray:
    """A portrait in four greys, without shades, as cartoons are."""
    return (cv2.medianBlur(cv2.resize(picture, None, fx=3, fy=3), 11) // 64 * 64 + 32).astype(np.uint8)


def test_what_is_drawn_in_areas_of_one_colour_is_told_from_photographs(astronaut, grace):
    for picture, box in ((astronaut, BOX), (grace, np.array([174.0, 120.0, 350.0, 340.0]))):
        photographs = [picture, saved(picture, 40), cv2.bilateralFilter(picture, 9, 40, 9), np.full_like(picture, 127)]
        assert not any(quality.looks_drawn(crop.face(one, box, 224, 1.3)) for one in photographs)
        for made in (drawn(picture), saved(drawn(picture), 75)):
            assert quality.looks_drawn(crop.face(made, box * 3, 224, 1.3))


def test_a_drawn_face_gets_no_verdict(tiny_model, detector, astronaut):
    model = Model(tiny_model.network, replace(tiny_model.config, input_size=224))
    checker = FaceChecker(model, device="cpu", detector=detector, engine="torch")
    place = Detections(BOX[None].astype(np.float32) * 3, np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32))
    ((face,),) = checker.judge([drawn(astronaut)], [place])
    assert face.verdict == "uncertain" and "drawn" in face.reasons
