"""Whatever is asked of a picture, it is read, decoded and searched for faces once."""

from collections import Counter

import pytest
from PIL import Image

from facecheck import decoding, image
from facecheck.detection.detector import FaceDetector
from facecheck.explain.explanation import explain
from facecheck.explain.heatmaps import GRAD_CAM, OCCLUSION
from facecheck.provenance import reader


@pytest.fixture
def calls(monkeypatch) -> Counter[str]:
    counted: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def wrapped(*given, **named):
            counted[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(owner, name, wrapped)

    count(decoding, "decoded")
    count(image, "_from_file")
    count(Image, "open")
    count(FaceDetector, "detect")
    count(reader, "read")
    return counted


ONCE = {"decoded": 1, "_from_file": 1, "open": 1, "detect": 1, "read": 1}


@pytest.mark.parametrize("methods", [(), (GRAD_CAM,), (GRAD_CAM, OCCLUSION)])
def test_an_explanation_with_all_its_evidence(calls, checker, grace_path, methods):
    found = explain(grace_path, methods=methods, checker=checker)
    assert calls == ONCE
    (face,) = found.faces
    assert [heat.method for heat in face.heat_maps] == list(methods)
    assert face.face.stability is not None
    assert found.prediction.provenance is not None
    assert found.picture.shape[:2] == found.prediction.size[::-1]
    assert calls == ONCE
    found.to_html()
    found.to_dict()
    assert calls == ONCE


def test_a_prediction_with_stability(calls, checker, grace_path):
    assert checker.predict(grace_path, stability=True).faces[0].stability is not None
    assert calls == ONCE
