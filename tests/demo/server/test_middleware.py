"""What stands between the network and the page."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse

from demo.server.access import RateLimit, content_policy, names_file, sender
from demo.server.middleware import Middleware, address_of
from demo.settings import Settings
from tests.demo.conftest import in_a_thread

PROGRAMS = (
    "/api/v1/predict", "/gradio_api/call/check", "/gradio_api/call/v2/check", "/gradio_api/call/check/0123",
    "/gradio_api/run/check", "/gradio_api/api/check", "/gradio_api/mcp", "/gradio_api/mcp/messages",
)  # fmt: skip


@asynccontextmanager
async def guarded(**options):
    """A client of the middleware with these settings, before an app that says yes to everything."""
    middleware = Middleware(PlainTextResponse("yes"), Settings(mcp=True, **options))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://test") as client:
        yield client


def statuses(paths, headers=None, **options) -> list[int]:
    """What the middleware with these settings answers, one after the other."""

    async def asked() -> list[int]:
        async with guarded(**options) as client:
            return [(await client.post(path, headers=headers)).status_code for path in paths]

    return in_a_thread(asked())


@pytest.mark.parametrize(
    "value",
    [
        {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]},
        {"data": [[{"deep": {"url": "http://169.254.169.254/"}}]]},
        {"data": [{"meta": {"_type": "gradio.FileData"}}]},
    ],
)
def test_a_call_that_names_a_file_or_an_address_is_seen_however_it_is_written(value):
    assert names_file(json.dumps(value).encode())
    escaped = json.dumps(value).replace("meta", "\\u006deta").replace("url", "\\u0075rl").replace("path", "p\\u0061th")
    assert names_file(escaped.encode())


def test_an_ordinary_call_is_not_refused():
    assert not names_file(json.dumps({"data": ["ticket", None, 3], "fn_index": 0, "session_hash": "ab"}).encode())
    assert not names_file(b"") and not names_file(b"not json")


def test_a_call_that_is_nested_too_deeply_to_be_searched_is_refused():
    deep, file = "[" * 600 + "]" * 600, {"path": "a", "meta": {"_type": "gradio.FileData"}}
    assert names_file(f'{{"extra": {deep}, "data": [{json.dumps(file)}]}}'.encode())
    assert names_file(b"[" * 100_000)


@pytest.mark.parametrize("path", PROGRAMS)
def test_keys_are_asked_for_wherever_programs_call_and_not_by_the_page(path):
    assert statuses([path], {"x-api-key": "guess"}, api_keys=("k",)) == [401]
    assert statuses([path], {"x-api-key": "k"}, api_keys=("k",)) == [200]
    assert statuses(["/", "/pictures", "/gradio_api/queue/join"], api_keys=("k",)) == [200] * 3


@pytest.mark.parametrize("path", [*PROGRAMS, "/pictures", "/gradio_api/queue/join"])
def test_the_rate_counts_whatever_costs_computing(path):
    assert statuses([path, path, "/own/page.js"], rate=1) == [200, 429, 200]


def test_a_cameras_frames_have_a_rate_of_their_own(monkeypatch):
    monkeypatch.setattr("demo.server.access.FRAMES_A_MINUTE", 5)
    assert statuses(["/live/camera"] * 6 + ["/pictures"] * 2, rate=1) == [200] * 5 + [429, 200, 429]
    assert statuses(["/live/camera"] * 6) == [200] * 6


def test_a_rate_is_kept_for_each_address_and_refills():
    now = [0.0]
    rate = RateLimit(60, lambda: now[0])
    assert [rate.allows("a") for _ in range(61)] == [True] * 60 + [False]
    assert rate.allows("b")
    now[0] = 2.0
    assert [rate.allows("a") for _ in range(3)] == [True, True, False]
    assert all(RateLimit(0).allows("a") for _ in range(1000))


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:0:1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_whoever_changes_addresses_within_their_network_stays_one_sender(address, whose):
    assert sender(address) == whose
    assert address_of({"client": (address, 1)}) == whose


def test_nothing_is_loaded_from_elsewhere():
    policy = content_policy(("https://example.org",))
    assert "frame-ancestors https://example.org" in policy
    assert "http" not in policy.replace("https://example.org", "")
    assert "frame-ancestors 'none'" in content_policy(())
