"""One checker for all: bounded, loaded in the background, patient with pictures that lie on their side."""

import asyncio
import io
import threading

import numpy as np
import pytest
from PIL import Image

from demo.server.service import BusyError, NotReadyError, Service
from facecheck.errors import ImageError
from facecheck.result import Verdict
from tests.demo.conftest import as_file, in_a_thread


@pytest.fixture
def service(checker):
    return Service(lambda: checker, workers=1, waiting=1)


def test_beyond_the_places_the_answer_is_busy_and_never_a_longer_queue(service):
    release, running = threading.Event(), []

    def job() -> int:
        running.append(1)
        release.wait(5)
        return len(running)

    async def four() -> list[object]:
        async def opened() -> None:
            await asyncio.sleep(0.2)
            assert len(running) == 1 and service.waiting == 1
            release.set()

        jobs = [service.run(job) for _ in range(4)]
        return (await asyncio.gather(*jobs, opened(), return_exceptions=True))[:4]

    answers = in_a_thread(four())
    assert [type(answer) for answer in answers] == [int, int, BusyError, BusyError]
    assert service.waiting == 0


def test_one_client_neither_takes_all_workers_nor_all_places(checker):
    service, release, running = Service(lambda: checker, workers=2, waiting=6), threading.Event(), []

    def job(client: str) -> str:
        running.append(client)
        if client == "greedy":
            release.wait(10)
        return client

    async def clients() -> tuple[list[object], list[str]]:
        greedy = [asyncio.create_task(service.run(lambda: job("greedy"), "greedy")) for _ in range(8)]
        await asyncio.sleep(0.2)
        others = await asyncio.gather(*(service.run(lambda: job("other"), "other") for _ in range(2)))
        begun = running.count("greedy")
        release.set()
        return await asyncio.gather(*greedy, return_exceptions=True), [*others, begun]

    answers, others = in_a_thread(clients())
    assert others == ["other", "other", 1]
    assert [type(one) for one in answers] == [str] * 6 + [BusyError] * 2


def test_a_client_who_had_its_megapixels_waits_and_others_do_not(checker):
    service = Service(lambda: checker, workers=1, waiting=6, megapixels=100)

    async def clients() -> int:
        service.charge("greedy", (12_000, 9_000))
        service.charge("greedy", None)
        with pytest.raises(BusyError):
            await service.run(lambda: 1, "greedy")
        return await service.run(lambda: 2, "other")

    assert in_a_thread(clients()) == 2


def test_a_failing_job_gives_its_place_back(service):
    async def three_times() -> None:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await service.run(lambda: 1 // 0)

    in_a_thread(three_times())


def test_a_model_that_cannot_be_loaded_says_so_and_does_not_hang():
    def broken() -> None:
        raise OSError("no such model")

    service = Service(broken, 1, 1)
    with pytest.raises(NotReadyError, match="no such model"):
        _ = service.checker
    assert service.state == "failed"


def test_the_model_is_loaded_once(checker):
    calls = []
    service = Service(lambda: calls.append(1) or checker, 1, 1)
    assert service.state == "loading"
    threads = [threading.Thread(target=lambda: service.checker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1] and service.state == "ready"


def test_a_face_is_found_upside_down(service, grace):
    judged = service.judge(as_file(Image.fromarray(np.ascontiguousarray(grace[::-1, ::-1])), "PNG"))
    assert judged.prediction.faces
    if judged.prediction.turned:
        assert np.array_equal(judged.pixels, grace)


def test_without_a_face_the_picture_stays_as_it_is(service, cat):
    judged = service.judge(as_file(Image.fromarray(cat), "PNG"), "cat.png")
    assert (judged.prediction.verdict, judged.prediction.turned, judged.prediction.source) == (
        Verdict.NO_FACE,
        0,
        "cat.png",
    )
    assert np.array_equal(judged.pixels, cat)


def test_an_exif_orientation_is_obeyed(service, grace):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(grace))).save(buffer, "PNG", exif=exif)
    judged = service.judge(buffer.getvalue())
    assert judged.pixels.shape == grace.shape and judged.prediction.faces and not judged.prediction.turned


def test_rubbish_is_an_image_error(service):
    with pytest.raises(ImageError):
        service.judge(b"")
