"""A visitor reads nothing but what is theirs: no other's upload, no file of the server, nothing of the store."""

import json
import secrets
import socket
import threading
import time
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from demo.settings import Settings

SECRET = "root:"
PATHS = (
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../../../etc/passwd",
    "/gradio_api/file=%2Fetc%2Fpasswd",
    "/gradio_api/file/etc/passwd",
    "/file=/etc/passwd",
    "/gradio_api/proxy=http://127.0.0.1:22/",
    "/gradio_api/file=http://127.0.0.1:22/",
    "/gradio_api/upload",
    "/gradio_api/stream/a/b/c/playlist.m3u8",
    "/gradio_api/deep_link",
    "/gradio_api/runs",
    "/gradio_api/custom_component/1/client/component/../../../../etc/passwd",
    "/monitoring",
    "/monitoring/summary",
    "/gradio_api/vibe-code",
    "/own/../../texts.py",
    "/own/../../settings.py",
    "/own/..%2f..%2fsettings.py",
    "/own/%2e%2e/%2e%2e/settings.py",
    "/own/....//....//settings.py",
    "/examples/../../settings.py",
    "/examples/..%2f..%2fetc%2fpasswd",
    "/examples/README.md",
    "/static/../../../../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/assets/..%2f..%2f..%2fetc/passwd",
    "/svelte/../../etc/passwd",
    "/demo/settings.py",
    "/feedback/objections.sqlite",
    "/docs/../../etc/passwd",
)


def raw(address: str, path: str, method: str = "GET") -> httpx.Response:
    """A request whose path no client has tidied up."""
    url = httpx.URL(address).copy_with(raw_path=path.encode())
    return httpx.request(method, url, timeout=30)


def test_a_ticket_is_short(small_server):
    """What is not counted among large bodies must not be one."""
    answer = httpx.post(f"{small_server}/pictures/forget", content=b"x" * 1001, timeout=30)
    assert answer.status_code == 413
    assert httpx.post(f"{small_server}/pictures/forget", content=b"x" * 32, timeout=30).status_code == 204


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_file_of_the_server_is_served(small_server, path, method):
    answer = raw(small_server, path, method)
    assert answer.status_code in (404, 405, 403, 400, 422)
    assert (
        SECRET not in answer.text
        and "MEBIBYTE" not in answer.text
        and "PROMISE" not in answer.text
        and "Traceback" not in answer.text
    )


def test_uploads_cannot_be_read_back_by_anybody(small_server):
    mark = secrets.token_hex(16)
    ticket = httpx.post(f"{small_server}/pictures", content=mark.encode()).json()["ticket"]
    for path in (f"/pictures/{ticket}", "/pictures", f"/gradio_api/file={ticket}", f"/pictures?ticket={ticket}"):
        answer = raw(small_server, path)
        assert answer.status_code in (404, 405) and mark not in answer.text
    assert httpx.post(f"{small_server}/pictures/heat/1", content="guess").status_code == 404
    assert httpx.post(f"{small_server}/pictures/heat/1", content=ticket).status_code == 422
    assert httpx.post(f"{small_server}/pictures/forget", content=ticket).status_code == 204
    assert httpx.post(f"{small_server}/pictures/heat/1", content=ticket).status_code == 404


@pytest.fixture
def listener():
    """A server next door that notes whoever calls it."""
    calls: list[str] = []

    class Note(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Note)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    thread.join()
    server.server_close()


def files_of(path: str) -> list[object]:
    file = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
    return [file, [file], {"deep": file}]


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("route", ["queue/join", "run/check", "call/check", "api/check"])
def test_the_server_fetches_and_opens_nothing_that_a_visitor_names(small_server, listener, route):
    address, calls = listener
    for target in (f"{address}/secret", "/etc/passwd"):
        for value in files_of(target):
            body = {"data": [value], "fn_index": 0, "session_hash": "s" * 11}
            for sent in (body, {"extra": nested(600)} | body):
                answer = httpx.post(f"{small_server}/gradio_api/{route}", json=sent)
                assert answer.status_code == 400 and SECRET not in answer.text
    picture = json.dumps({"pictures": [{"data": f"{address}/secret"}, {"data": "file:///etc/passwd"}]})
    answer = httpx.post(f"{small_server}/api/v1/predict", content=picture, headers={"content-type": "application/json"})
    assert [one["verdict"] for one in answer.json()["predictions"]] == [None, None]
    assert calls == []


def test_too_much_is_refused_before_it_is_read(small_server):
    for path in ("/pictures", "/api/v1/predict", "/gradio_api/queue/join", "/live/0123456789abcdef"):
        assert httpx.post(small_server + path, content=b"x" * (4 << 20)).status_code == 413


def stalled(address: str, body: bytes = b"content-length: 999\r\n\r\nbegun") -> socket.socket:
    """An upload that has begun and does not go on."""
    url = httpx.URL(address)
    sender = socket.create_connection((url.host, url.port), timeout=30)
    sender.sendall(b"POST /pictures HTTP/1.1\r\nhost: test\r\n" + body)
    return sender


def uploaded(address: str, expected: int) -> httpx.Response:
    """The first answer with this status, or the last one after ten seconds."""
    for _ in range(100):
        answer = httpx.post(f"{address}/pictures", content=b"x")
        if answer.status_code == expected:
            break
        time.sleep(0.1)
    return answer


def test_uploads_that_stand_still_are_bounded_and_leave_their_places_when_they_break_off(small_server):
    with ExitStack() as stack:
        for _ in range(Settings().places):
            stack.enter_context(stalled(small_server))
            stack.enter_context(stalled(small_server, b"transfer-encoding: chunked\r\n\r\n5\r\nbegun"))
        refused = uploaded(small_server, 503)
        assert refused.status_code == 503 and refused.headers["retry-after"] and "wait" in refused.json()["detail"]
        assert httpx.get(f"{small_server}/health").status_code == 200
    assert uploaded(small_server, 200).status_code == 200


def test_an_upload_that_stands_still_for_too_long_is_ended(small_server, monkeypatch):
    monkeypatch.setattr("demo.server.access.STALLED_S", 0.2)
    with stalled(small_server) as sender:
        assert sender.recv(100).startswith(b"HTTP/1.1 408 ")


def test_an_upload_that_trickles_is_ended_but_a_slow_one_is_not(small_server, monkeypatch):
    monkeypatch.setattr("demo.server.access.STALLED_S", 0.5)
    monkeypatch.setattr("demo.server.access.SLOWEST_BYTES_S", 100)
    for size, status in ((1, 408), (100, 200)):
        with stalled(small_server, f"content-length: {20 * size}\r\n\r\n".encode()) as sender:
            with suppress(OSError):
                for _ in range(20):
                    sender.sendall(bytes(size))
                    time.sleep(0.05)
            assert sender.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


def test_every_answer_forbids_what_the_page_does_not_need(small_server):
    for path in ("/", "/health", "/own/page.js", "/docs"):
        headers = httpx.get(small_server + path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert httpx.post(f"{small_server}/pictures", content=b"x").headers["cache-control"] == "no-store"


def test_the_page_names_no_other_host_that_a_browser_would_load(small_server):
    for path in ("/", "/docs", "/own/page.css", "/own/page.js", "/own/camera.js"):
        text = httpx.get(small_server + path).text
        assert 'src="http' not in text and "@import" not in text and "fonts.googleapis" not in text


def test_the_defaults_are_safe(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = Settings()
    assert settings.host == "127.0.0.1" and not settings.framed_by and not settings.cors and not settings.mcp
    assert not settings.feedback.exists()
