"""Hours of a day in some minutes: good, hostile, cut and slow requests at once, and afterwards all is as before."""

import gc
import os
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import psutil
import pytest
from PIL import Image

from demo.server.decoders import Decoders
from demo.server.service import Service
from demo.settings import Settings
from tests.demo.conftest import as_file, serving
from tests.facecheck.test_image import png_header
from tests.facecheck.test_sanitising import BUILDERS

REQUESTS, CLIENTS, WARM_UP = 2000, 16, 200
HOSTILE_BYTES = 1 << 16
ENOUGH_S = 120


class Visitors:
    """What strangers do, by kind; each call is one request."""

    def __init__(self, address: str, good: bytes, verdict: str) -> None:
        self.address, self._good, self._verdict = address, good, verdict
        url = httpx.URL(address)
        self._place, self._client = (url.host, url.port), httpx.Client(timeout=ENOUGH_S)
        self._hostile = [build(HOSTILE_BYTES) for build in BUILDERS.values()]
        self._hostile += [b"", b"no picture", png_header(60_000, 60_000), png_header(100, 100), good[:900]]
        self.outcomes: Counter[str] = Counter()

    def good(self, number: int) -> str:
        """Asks again, as it is told, where the server is busy."""
        deadline = time.monotonic() + ENOUGH_S
        while time.monotonic() < deadline:
            answer = self._send(self._good)
            if answer.status_code == 200:
                (prediction,) = answer.json()["predictions"]
                return "right" if prediction["verdict"] == self._verdict else "wrong"
            assert answer.status_code in (429, 503), answer.text
            time.sleep(0.2)
        return "never"

    def hostile(self, number: int) -> str:
        answer = self._send(self._hostile[number % len(self._hostile)])
        assert answer.status_code in (200, 413, 422, 429, 503), answer.text
        return "answered"

    def cut(self, number: int) -> str:
        with socket.create_connection(self._place, timeout=30) as sender:
            sender.sendall(self._head(9000) + self._good[: number % 900])
        return "gone"

    def slow(self, number: int) -> str:
        with socket.create_connection(self._place, timeout=30) as sender, suppress(OSError):
            sender.sendall(b"POST /pictures HTTP/1.1\r\nhost: te")
            time.sleep(0.3)
            sender.sendall(b"st\r\ncontent-length: 9\r\n\r\n")
            for _ in range(9):
                sender.sendall(b"x")
                time.sleep(0.02)
            sender.recv(100)
        return "gone"

    def visit(self, number: int) -> None:
        kinds: list[Callable[[int], str]] = [self.good, self.hostile, self.good, self.cut, self.good, self.slow]
        act = kinds[number % len(kinds)]
        self.outcomes[f"{act.__name__}: {act(number)}"] += 1

    def _send(self, data: bytes) -> httpx.Response:
        return self._client.post(f"{self.address}/api/v1/predict", files={"files": ("a", data)})

    def _head(self, size: int) -> bytes:
        return f"POST /pictures HTTP/1.1\r\nhost: test\r\ncontent-length: {size}\r\n\r\n".encode()


def memory(process: psutil.Process) -> int:
    gc.collect()
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


@pytest.mark.slow  # Two thousand requests.
def test_after_two_thousand_mixed_requests_all_is_as_before(checker, grace, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    good = as_file(Image.fromarray(grace).resize((128, 150)), quality=90)
    decoders, process = Decoders(2), psutil.Process(os.getpid())
    service = Service(lambda: checker, 2, 32, decode=decoders.decode)
    settings = Settings(feedback=tmp_path / "feedback", connections=200)
    with serving(settings, checker, service) as address, ThreadPoolExecutor(CLIENTS) as clients:
        visitors = Visitors(address, good, checker.predict(good).verdict)
        list(clients.map(visitors.visit, range(WARM_UP)))
        before = memory(process), process.num_fds(), threading.active_count()
        list(clients.map(visitors.visit, range(REQUESTS)))
        time.sleep(1)
        after = memory(process), process.num_fds(), threading.active_count()
    decoders.close()
    visitors._client.close()
    done = visitors.outcomes
    assert done.total() == REQUESTS + WARM_UP
    assert set(done) == {"good: right", "hostile: answered", "cut: gone", "slow: gone"}, done
    assert after[0] < before[0] * 1.1 and after[1] < before[1] + 2 * CLIENTS and after[2] < before[2] + CLIENTS
    left = [path for path in scratch.rglob("*") if path.is_file()]  # Gradio makes folders when it is imported.
    assert left == [] and not (tmp_path / "feedback").exists()
