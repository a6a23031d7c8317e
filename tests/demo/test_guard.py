"""What stands between the network and the page."""

import json

import pytest

from demo.guard import Rate, content_policy, names_file


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
    assert not names_file(b"[" * 100_000)


def test_a_rate_is_kept_for_each_address_and_refills():
    now = [0.0]
    rate = Rate(60, lambda: now[0])
    assert [rate.allows("a") for _ in range(61)] == [True] * 60 + [False]
    assert rate.allows("b")
    now[0] = 2.0
    assert [rate.allows("a") for _ in range(3)] == [True, True, False]
    assert all(Rate(0).allows("a") for _ in range(1000))


def test_nothing_is_loaded_from_elsewhere():
    policy = content_policy(("https://example.org",))
    assert "frame-ancestors https://example.org" in policy
    assert "http" not in policy.replace("https://example.org", "")
    assert "frame-ancestors 'none'" in content_policy(())
