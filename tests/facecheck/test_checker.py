"""From any input to a Prediction, with a tiny network in the classifier's place where its opinion does not matter."""

import copy
import functools
import io
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import facecheck
from facecheck import batching
from facecheck import checker as checker_module
from facecheck.batching import WORKER_PICTURES
from facecheck.checker import FaceChecker
from facecheck.engines.torch import TorchEngine, pick_device
from facecheck.error_rates import Budget
from facecheck.errors import DeviceError, FacecheckError, ImageError, ModelError
from facecheck.model.checkpoint import save_model
from facecheck.model.config import Decision, Knot, Limits


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


def test_generators_and_tuples_are_lists_too(checker, cat):
    assert len(checker.predict(cat for _ in range(3))) == 3
    assert len(checker.predict((cat, cat))) == 2
    assert checker.predict([]) == []


def test_streams_are_lazy(checker, cat):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield cat

    assert next(checker.stream(endless())).verdict == "no_face"
    assert len(taken) <= WORKER_PICTURES * (3 * checker.for_workers().classifier.workers + 2)


def test_inputs_that_fail_when_they_are_read_harm_no_other(checker, cat):
    closed, abstract = io.BytesIO(b"x"), torch.empty((3, 8, 8), device="meta")
    closed.close()
    found = checker.predict([cat, closed, abstract, cat])
    assert [bool(each.error) for each in found] == [False, True, True, False]


def test_large_pictures_close_a_batch_early(checker, monkeypatch, cat):
    monkeypatch.setattr(batching, "BATCH_PIXELS", 1)
    sizes, real = [], FaceChecker.judge_batch
    monkeypatch.setattr(FaceChecker, "judge_batch", lambda self, batch: sizes.append(len(batch)) or real(self, batch))
    assert len(list(checker.stream(cat for _ in range(9)))) == 9
    assert sum(sizes) == 9
    assert max(sizes) == 1


def test_a_stream_is_what_single_calls_say_in_order(checker, grace, astronaut, cat):
    sources = [grace, cat, b"junk", astronaut, grace[:, ::-1], cat, astronaut[::2, ::2]] * 3
    for result, source in zip(checker.stream(sources), sources, strict=True):
        if isinstance(source, bytes):
            assert result.error
            continue
        alone = checker.predict(source)
        assert result.verdict == alone.verdict
        for face, same in zip(result.faces, alone.faces, strict=True):
            assert face.box == pytest.approx(same.box, abs=0.05)
            assert face.p_fake == pytest.approx(same.p_fake, abs=1e-3)


def test_workers_work_at_the_same_time(checker, monkeypatch, cat):
    meeting, real = threading.Barrier(2, timeout=20), FaceChecker.judge_batch

    def together(self, batch):
        meeting.wait()
        return real(self, batch)

    monkeypatch.setattr(FaceChecker, "judge_batch", together)
    checker.for_workers().classifier.engine.workers = 2
    assert len(list(checker.stream([cat] * 16))) == 16


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


def test_workers_are_made_once_for_a_checker_and_its_settings_of_one_call(tiny_model, detector, monkeypatch, cat):
    checker, made = FaceChecker(tiny_model, device="cpu", detector=detector, precision="f32"), []
    monkeypatch.setattr(type(checker.classifier), "for_workers", lambda self: made.append(1) or self)
    assert checker.for_workers().classifier is checker.for_workers().classifier
    assert len(checker.predict([cat] * 8, stability=True)) == 8
    assert made == [1]


def test_leaving_a_stream_early_stops_it(checker, cat):
    before = threading.active_count()
    stream = checker.stream(cat for _ in iter(int, 1))
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_an_error_of_the_inputs_comes_through(checker, cat):
    def inputs():
        yield from [cat] * 10
        raise OSError("the list is gone")

    with pytest.raises(OSError, match="gone"):
        list(checker.stream(inputs()))


@pytest.mark.parametrize("bad", [b"junk", "missing.jpg", None, 42])
def test_a_single_bad_input_raises(checker, bad):
    with pytest.raises(ImageError):
        checker.predict(bad)


def test_several_faces(checker, astronaut):
    prediction = checker.predict(np.hstack([astronaut, astronaut, astronaut]))
    assert len(prediction.faces) == 3


def test_threads_share_a_checker(checker, grace, astronaut, cat):
    pictures = [grace, astronaut, cat] * 4
    expected = [checker.predict(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(checker.predict, pictures))
    assert [[f.box for f in r.faces] for r in results] == [[f.box for f in r.faces] for r in expected]
    for result, wanted in zip(results, expected, strict=True):
        assert [f.p_fake for f in result.faces] == pytest.approx([f.p_fake for f in wanted.faces], abs=1e-5)


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


def test_devices():
    assert pick_device("auto").type in ("cpu", "cuda")
    assert pick_device("cpu").type == "cpu"
    for name in ("nonsense", "cuda:99", ""):
        with pytest.raises(DeviceError, match="use 'auto', or what is here: 'cpu'"):
            pick_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["auto", "bf16", "f16"])
def test_cuda_agrees_with_the_cpu(default_checker, grace, precision):
    other = FaceChecker(device="cuda", precision=precision).predict(grace)
    assert other.p_fake == pytest.approx(default_checker.predict(grace).p_fake, abs=0.01)


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


def test_the_default_model_accuses_no_public_domain_photograph(default_checker, grace_path, astronaut):
    assert default_checker.predict(grace_path).verdict == "real"
    assert default_checker.predict(astronaut).verdict in ("real", "uncertain")
    assert all(default_checker.predict(photo).p_fake < 0.4 for photo in (grace_path, astronaut))


def test_the_default_model_survives_a_messenger(default_checker, grace):
    stream = io.BytesIO()
    small = Image.fromarray(grace)
    small.thumbnail((400, 400))
    small.save(stream, "JPEG", quality=55)
    assert default_checker.predict(stream.getvalue()).verdict == "real"


def test_the_default_model_tells_whole_pictures_apart(default_checker, shared_photos):
    named = [path for path in shared_photos if path.name.startswith(("real-", "fake-"))]
    results = default_checker.predict(named)
    right = [str(result.verdict) == path.name[:4] for path, result in zip(named, results, strict=True)]
    answered = [str(result.verdict) in ("real", "fake") for result in results]
    assert np.mean(answered) > 0.75
    assert np.sum(right) / np.sum(answered) > 0.85


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


def test_a_model_that_gives_no_numbers_gives_no_verdict(checker, grace, monkeypatch):
    monkeypatch.setattr(checker.classifier, "logits", lambda faces: np.full(len(faces), np.nan, np.float32))
    with pytest.raises(ModelError, match="no number"):
        checker.predict(grace)


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
