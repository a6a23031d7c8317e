"""From any input to a Prediction, with a tiny network in the classifier's place where its opinion does not matter."""

import copy
import functools
import io
import pickle
import threading

import numpy as np
import pytest
import torch
from PIL import Image

import facecheck
from facecheck import checker as checker_module
from facecheck.checker import FaceChecker
from facecheck.engines.torch import TorchEngine, pick_device
from facecheck.errors import DeviceError, FacecheckError, ImageError
from facecheck.model.checkpoint import save_model


def test_a_portrait_gives_one_complete_prediction(checker, grace_path):
    prediction = checker.predict(grace_path)
    assert prediction.source == str(grace_path)
    assert prediction.size == (512, 600)
    assert len(prediction.faces) == 1
    face = prediction.faces[0]
    assert 150 < face.size_px < 300
    assert len(face.landmarks) == 5
    assert face.confidence > 0.9
    assert 0 <= face.p_fake <= 1
    assert prediction.model.name == "tiny"
    assert min(prediction.timing_ms.decode, prediction.timing_ms.detect, prediction.timing_ms.classify) > 0


def test_the_scores_are_those_of_the_network_on_the_crop(checker, tiny_model, grace):
    face = checker.predict(grace).faces[0]
    pixels = facecheck.checker.crop.face(grace, face.box, 64, tiny_model.config.crop_margin)
    scaled = torch.from_numpy(pixels / 255.0).permute(2, 0, 1).float() - torch.tensor(tiny_model.config.mean).view(
        3, 1, 1
    )
    with torch.inference_mode():
        logit = tiny_model.network((scaled / torch.tensor(tiny_model.config.std).view(3, 1, 1))[None])
    assert face.p_fake == pytest.approx(float(torch.sigmoid(logit)), abs=1e-4)


def test_results_come_in_input_order_and_bad_items_harm_no_other(checker, grace, astronaut, cat):
    inputs = [grace, b"junk", cat, "missing.jpg", astronaut, None]
    results = checker.predict(inputs)
    assert [r.error is None for r in results] == [True, False, True, False, True, False]
    assert [len(r.faces) for r in results] == [1, 0, 0, 0, 1, 0]
    assert results[2].verdict == "no_face"
    assert results[3].source == "missing.jpg"
    assert "no such file" in results[3].error
    alone = checker.predict(astronaut)
    assert results[4].faces[0].p_fake == pytest.approx(alone.faces[0].p_fake, abs=1e-5)


def test_inputs_that_fail_when_they_are_read_harm_no_other(checker, cat):
    closed, abstract = io.BytesIO(b"x"), torch.empty((3, 8, 8), device="meta")
    closed.close()
    found = checker.predict([cat, closed, abstract, cat])
    assert [bool(each.error) for each in found] == [False, True, True, False]


@pytest.mark.parametrize("bad", [b"junk", "missing.jpg", None, 42])
def test_a_single_bad_input_raises(checker, bad):
    with pytest.raises(ImageError):
        checker.predict(bad)


def test_several_faces(checker, astronaut):
    prediction = checker.predict(np.hstack([astronaut, astronaut, astronaut]))
    assert len(prediction.faces) == 3


def test_devices():
    assert pick_device("auto").type in ("cpu", "cuda")
    assert pick_device("cpu").type == "cpu"
    for name in ("nonsense", "cuda:99", ""):
        with pytest.raises(DeviceError, match="use 'auto', or what is here: 'cpu'"):
            pick_device(name)


def test_an_empty_batch_has_no_logits(tiny_model):
    classifier = TorchEngine(tiny_model, torch.device("cpu"))
    assert classifier.logits(np.empty((0, 64, 64, 3), np.uint8)).shape == (0,)


def test_a_gpu_gets_work_from_all_processors(tiny_model, monkeypatch):
    monkeypatch.setattr("facecheck.engines.torch.best_workers", lambda: 8)
    workers = {device: TorchEngine(tiny_model, torch.device(device)).workers for device in ("cpu", "meta")}
    assert workers == {"cpu": 2, "meta": 8}


def test_a_model_can_be_shared_between_devices(tiny_model):
    here = TorchEngine(tiny_model, torch.device("cpu"))
    TorchEngine(tiny_model, torch.device("meta"))
    assert np.isfinite(here.logits(np.zeros((1, 64, 64, 3), np.uint8))).all()


def test_many_faces_are_scored_in_parts(tiny_model):
    classifier = TorchEngine(tiny_model, torch.device("cpu"))
    faces = np.random.default_rng(0).integers(0, 256, (70, 64, 64, 3), np.uint8)
    each = np.concatenate([classifier.logits(faces[i : i + 1]) for i in range(70)])
    np.testing.assert_allclose(classifier.logits(faces), each, atol=1e-4)


def test_predict_loads_the_default_model_once_for_all_threads(monkeypatch, checker, grace):
    made = []
    monkeypatch.setattr(checker_module, "_made_once", functools.cache(lambda: made.append(1) or checker))
    threads = [threading.Thread(target=facecheck.predict, args=(grace,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_closed_checker_says_so_however_it_is_asked(tiny_model, detector, grace):
    with FaceChecker(tiny_model, device="cpu", detector=detector, engine="torch") as checker:
        (found,) = detector.detect([grace])
        several, strict = checker.for_workers(), checker.with_settings(stability=True)
        assert checker.predict(grace).faces
    asked = [
        lambda: checker.predict(grace),
        lambda: checker.predict(grace, stability=True),
        lambda: checker.predict([grace]),
        lambda: list(checker.stream([grace])),
        lambda: checker.judge([grace], [found]),
        lambda: checker.judge_batch([]),
        lambda: checker.p_fake(np.zeros((1, 64, 64, 3), np.uint8)),
        checker.for_workers,
        lambda: several.judge([grace], [found]),
        lambda: strict.predict(grace),
    ]
    for ask in asked:
        with pytest.raises(FacecheckError, match="is closed"):
            ask()
    assert not {"classifier", "detector"} & set(vars(checker))
    checker.close()


def test_a_checker_is_pickled_by_its_arguments(tiny_model, tmp_path, monkeypatch):
    path = save_model(tiny_model.network, tiny_model.config, tmp_path)
    made = []
    monkeypatch.setattr(FaceChecker, "__init__", lambda self, *given, **named: made.append((given, named)))
    plain = object.__new__(FaceChecker)
    again = functools.partial(FaceChecker, str(path), device="cpu")
    plain.__dict__ = {"_again": again, "_budget": None, "stability": True}
    assert copy.copy(plain).__dict__ == plain.__dict__ and made == []
    assert b"FaceChecker" in pickle.dumps(plain)
    make, arguments = plain.__reduce__()  # What whoever reads it calls; nothing is unpickled here.
    make(*arguments)
    assert made == [((str(path),), {"device": "cpu", "max_fpr": None, "stability": True})]


def test_a_checker_in_memory_says_why_it_is_not_pickled(checker):
    with pytest.raises(TypeError, match="make it where it is used"):
        pickle.dumps(checker)


def test_a_name_is_what_results_and_messages_call_a_picture(checker, grace_path, grace):
    data = grace_path.read_bytes()
    assert checker.predict(data, name="upload.jpg").source == "upload.jpg"
    assert checker.predict(grace, name="frame 7").source == "frame 7"
    assert checker.predict(data, name="/etc/passwd").path is None
    assert checker.predict(grace_path).path == str(grace_path)
    assert facecheck.explain(data, name="upload.jpg", checker=checker).prediction.source == "upload.jpg"
    with pytest.raises(ImageError, match=r"^upload\.jpg: "):
        checker.predict(b"junk", name="upload.jpg")
    with pytest.raises(ValueError, match="for one picture"):
        checker.predict([data, data], name="upload.jpg")
    with pytest.raises(TypeError, match="no option 'max_frp'; it has name, bgr, max_fpr, stability"):
        checker.predict(data, max_frp=0.01)


def test_arrays_of_opencv(checker, grace):
    alone = checker.predict(grace)
    turned = np.ascontiguousarray(grace[:, :, ::-1])
    assert checker.predict(turned, bgr=True).faces == alone.faces
    assert [one.faces for one in checker.predict([turned, turned], bgr=True)] == [alone.faces, alone.faces]
    with_alpha = np.dstack([turned, np.full(grace.shape[:2], 255, np.uint8)])
    assert checker.predict(with_alpha, bgr=True).faces == alone.faces
    assert checker.predict(Image.fromarray(grace), bgr=True).faces == alone.faces  # It says itself what it is.
