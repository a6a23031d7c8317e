"""Many pictures and many threads: lazily, in order, at the same time, and ended early."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from facecheck import batching
from facecheck.batching import WORKER_PICTURES
from facecheck.checker import FaceChecker


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


def test_large_pictures_close_a_batch_early(checker, monkeypatch, cat):
    monkeypatch.setattr(batching, "BATCH_PIXELS", 1)
    sizes, real = [], FaceChecker.judge_batch
    monkeypatch.setattr(FaceChecker, "judge_batch", lambda self, batch: sizes.append(len(batch)) or real(self, batch))
    small = cat[::3, ::3]
    assert len(list(checker.stream(small for _ in range(9)))) == 9
    assert sum(sizes) == 9
    assert max(sizes) == 1


def test_a_stream_is_what_single_calls_say_in_order(checker, grace, astronaut, cat):
    small = grace[::2, ::2]
    sources = [small, cat[::2, ::2], b"junk", astronaut[::2, ::2], small[:, ::-1], astronaut[::3, ::3]]
    singly = [None if isinstance(source, bytes) else checker.predict(source) for source in sources]
    for result, alone in zip(checker.stream(sources * 4), singly * 4, strict=True):
        if alone is None:
            assert result.error
            continue
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


def test_threads_share_a_checker(checker, grace, astronaut, cat):
    pictures = [grace[::2, ::2], astronaut[::2, ::2], cat[::2, ::2]]
    expected = [checker.predict(picture) for picture in pictures] * 4
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(checker.predict, pictures * 4))
    assert [[f.box for f in r.faces] for r in results] == [[f.box for f in r.faces] for r in expected]
    for result, wanted in zip(results, expected, strict=True):
        assert [f.p_fake for f in result.faces] == pytest.approx([f.p_fake for f in wanted.faces], abs=1e-5)
