import email.utils
import time

import httpx2
import pytest

from data_generation.api_client import Backoff, RateLimit, Usage, retry_after


def test_pauses_double_and_stay_below_the_cap():
    backoff = Backoff(base=2)
    for failures in range(1, 30):
        assert min(2.0**failures, 600) / 2 <= backoff.seconds(failures, {}) <= min(2.0**failures, 600)


def test_the_server_may_ask_for_more_time():
    assert retry_after(httpx2.Headers({"Retry-After": "30"})) == 30
    assert retry_after(httpx2.Headers({"retry-after-ms": "1500", "retry-after": "2"})) == 1.5
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    assert 85 < retry_after(httpx2.Headers({"Retry-After": date})) <= 90
    for nonsense in ("soon", "", "-3"):
        assert retry_after(httpx2.Headers({"Retry-After": nonsense})) == 0
    assert Backoff(base=0.1).seconds(1, {"retry-after": "30"}) == 30


def test_requests_are_spaced():
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    rate_limit = RateLimit(30, sleep, lambda: now[0])
    for _ in range(3):
        rate_limit.wait()
    assert slept == [2.0, 2.0]
    now[0] += 60
    rate_limit.wait()
    assert slept == [2.0, 2.0]
    RateLimit(0, sleep).wait()
    assert slept == [2.0, 2.0]


def test_tokens_and_cost_are_added_up():
    usage = Usage(price_in=2, price_out=10)
    usage.count({"input_tokens": 1000, "output_tokens": 100})
    usage.count({"prompt_tokens": 1000, "completion_tokens": 100})
    usage.count(None)
    assert usage.cost == pytest.approx(0.006)
    assert "2000 tokens in, 200 tokens out, 1 answers without a token count, cost 0.0060" in str(usage)
    assert "cost unknown" in str(Usage())
