"""Work ahead: in order, within bounds, errors where they belong."""

import threading
import time

import numpy as np
import pytest

from facecheck.scan.scanner import Prefetch


def prefetch(items, work, threads=4, ahead=8):
    return Prefetch(items, work, threads=threads, ahead=ahead)


def test_results_come_in_the_order_of_the_items():
    rng = np.random.default_rng(0)
    delays = rng.uniform(0, 0.004, 100)

    def work(number: int) -> int:
        time.sleep(delays[number])
        return number

    with prefetch(iter(range(100)), work) as results:
        assert list(results) == list(range(100))


def test_threads_work_at_the_same_time():
    meeting = threading.Barrier(4, timeout=10)
    with prefetch(range(4), lambda _: meeting.wait()) as results:
        assert sorted(results) == [0, 1, 2, 3]


class Picture:
    """Counts those that are alive."""

    alive = most = 0
    lock = threading.Lock()

    def __init__(self) -> None:
        with Picture.lock:
            Picture.alive += 1
            Picture.most = max(Picture.most, Picture.alive)

    def __del__(self) -> None:
        with Picture.lock:
            Picture.alive -= 1


@pytest.mark.parametrize("ahead", [2, 8])
def test_few_pictures_live_however_slow_the_consumer(ahead):
    Picture.most = 0
    with prefetch(range(60), lambda _: Picture(), ahead=ahead) as results:
        for _ in results:
            time.sleep(0.002)
    assert 2 <= Picture.most <= ahead + 1
    assert Picture.alive <= 1


def test_items_are_taken_lazily():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield 1

    with prefetch(endless(), lambda item: item) as results:
        next(iter(results))
        time.sleep(0.05)
    assert len(taken) <= 10


@pytest.mark.parametrize("threads", [1, 4])
def test_errors_come_where_their_item_stood(threads):
    def work(number: int) -> float:
        return 1 / (number - 3)

    with prefetch(range(9), work, threads=threads) as results:
        reading = iter(results)
        assert [next(reading) for _ in range(3)] == [-1 / 3, -1 / 2, -1]
        with pytest.raises(ZeroDivisionError):
            next(reading)


def test_an_error_of_the_items_comes_after_those_before():
    def items():
        yield from (1, 2)
        raise OSError("list is gone")

    seen = []
    with pytest.raises(OSError, match="gone"), prefetch(items(), lambda item: item) as results:
        seen.extend(iter(results))
    with prefetch(items(), lambda item: item) as results:
        reading = iter(results)
        assert [next(reading), next(reading)] == [1, 2]


def test_leaving_early_stops_the_threads():
    with prefetch(iter(int, 1), lambda item: item) as results:
        next(iter(results))
        threads = results._threads
    assert not any(thread.is_alive() for thread in threads)


def test_nothing_to_do():
    with prefetch([], lambda item: item) as results:
        assert list(results) == []


def test_results_get_through_while_the_items_keep_everybody_waiting():
    more = threading.Event()

    def items():
        yield 1
        more.wait(10)
        yield 2

    with prefetch(items(), lambda item: item) as results:
        reading = iter(results)
        assert next(reading) == 1
        more.set()
        assert list(reading) == [2]
