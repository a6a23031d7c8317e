"""Half-sent requests and answers that nobody takes hold no place that another needs."""

import socket
import time
from contextlib import ExitStack

import httpx
import pytest

from demo.server import connections
from demo.server.connections import Room
from demo.settings import Settings
from tests.demo.conftest import serving


class Known:
    def __init__(self, address: str) -> None:
        self.address, self.is_open = address, True

    def end(self) -> None:
        self.is_open = False


def test_an_address_has_its_share_and_its_oldest_idle_connection_makes_room():
    room = Room(100, 2)
    first, second, third = (Known("10.0.0.1") for _ in range(3))
    assert room.enter(first) and room.enter(second) and room.enter(third)
    assert not first.is_open and second.is_open and len(room) == 2
    for busy in (second, third):
        room.note(busy, asks=True)
    assert not room.enter(Known("10.0.0.1")) and room.enter(Known("10.0.0.2"))
    room.note(second, asks=False)
    assert room.enter(Known("10.0.0.1")) and not second.is_open


def test_a_network_of_64_bits_is_one_sender():
    room = Room(100, 2, proxies=("2001:db8:1::/48",))
    first, *others = (Known(f"2001:db8::{number:x}") for number in range(1, 4))
    assert all(map(room.enter, (first, *others))) and not first.is_open and len(room) == 2
    assert room.enter(Known("2001:db8:0:1::1")) and len(room) == 3
    assert all(room.enter(Known(f"2001:db8:1::{number:x}")) for number in range(1, 9)) and len(room) == 11
    for one in others:
        room.leave(one)
    assert len(room) == 9


def test_a_full_server_lets_go_of_whoever_asked_for_nothing_longest():
    room = Room(3, 3)
    idle, busy = Known("a"), Known("b")
    for one in (busy, idle, Known("c")):
        assert room.enter(one)
    room.note(busy, asks=True)
    assert room.enter(Known("d")) and not idle.is_open and busy.is_open and len(room) == 3


def test_a_proxy_speaks_for_many_and_what_left_is_forgotten():
    room = Room(100, 1, proxies=("10.0.0.0/8", "::1"))
    assert room.enter(lonely := Known("")) and room.enter(Known("")) and not lonely.is_open
    room = Room(100, 1, proxies=("10.0.0.0/8", "::1"))
    many = [Known(f"10.0.{number % 2}.1") for number in range(10)]
    assert all(map(room.enter, many)) and all(one.is_open for one in many)
    for one in many * 2:
        room.leave(one)
    assert len(room) == 0


def half_open(address: str, sent: bytes = b"GET / HTTP/1.1\r\nhost: te") -> socket.socket:
    url = httpx.URL(address)
    sender = socket.create_connection((url.host, url.port), timeout=30)
    sender.sendall(sent)
    return sender


def ended(sender: socket.socket) -> bool:
    try:
        return sender.recv(1) == b""
    except ConnectionError:
        return True


def test_a_head_that_does_not_end_is_ended(small_server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    whole = b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n"
    for sent in (b"", b"GET /", whole + b"GET /hea"):  # The last one is half of a second request.
        with half_open(small_server, sent) as sender:
            if sent.startswith(whole):
                assert b"200 OK" in sender.recv(4000)
            started = time.monotonic()
            while not ended(sender):  # What was left of the first answer.
                pass
            assert time.monotonic() - started < 10


def test_an_answer_that_nobody_takes_is_ended(small_server, monkeypatch):
    monkeypatch.setattr(connections, "UNTAKEN_S", 0.3)
    url = httpx.URL(small_server)
    with socket.socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sender.settimeout(30)
        sender.connect((url.host, url.port))
        sender.sendall(b"GET /own/swagger/swagger-ui-bundle.js HTTP/1.1\r\nhost: test\r\n\r\n" * 20)
        time.sleep(2)
        received = 0
        while True:
            try:
                part = sender.recv(1 << 16)
            except ConnectionError:
                break
            received += len(part)
            if not part:
                break
        assert received < 10 << 20


@pytest.mark.slow  # Two thousand connections.
def test_the_page_is_reached_beside_two_thousand_half_open_connections(checker, tmp_path):
    settings = Settings(feedback=tmp_path / "feedback", proxies=())
    with serving(settings, checker) as address, ExitStack() as stack:
        for _ in range(2000):
            stack.enter_context(half_open(address))
        for path in ("/", "/health"):
            assert httpx.get(address + path, timeout=10).status_code == 200


def test_behind_a_proxy_the_visitor_is_counted(checker, tmp_path):
    settings = Settings(feedback=tmp_path / "feedback", connections=2)
    body = b"POST /pictures HTTP/1.1\r\nhost: test\r\nx-forwarded-for: 10.0.0.%d\r\ncontent-length: 9\r\n\r\nb"
    with serving(settings, checker) as address, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(half_open(address, body % 1))
        time.sleep(0.5)
        statuses = {
            visitor: httpx.get(f"{address}/health", headers={"x-forwarded-for": f"10.0.0.{visitor}"}).status_code
            for visitor in (1, 2)
        }
    assert statuses == {1: 429, 2: 200}
