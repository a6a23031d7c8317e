"""A service that means harm: its answers end within bounds, and what is kept of them can be read by every later run."""

import json

import pytest

from data_generation import bounds
from data_generation.api_client import Prices
from data_generation.synthesis import ServiceSettings, exchange
from data_generation.synthesis.exchange import ANSWERED, DONE, LOST, Exchange, Outcome, plain
from data_generation.synthesis.service import costs
from tests.data_generation import image_server
from tests.data_generation.image_server import picture_of

REQUEST = {"model": "m", "prompt": "x"}
PRICES = Prices("USD", {"m": {"million_tokens": {"text_in": 5, "image_in": 8, "out": 30}}})


@pytest.fixture
def ask(images_api, monkeypatch):
    """Ask a service that does so and so."""
    monkeypatch.setattr(bounds, "LARGEST_ANSWER", 4 << 20)

    def asked(move: str, timeout: float = 30.0) -> Outcome:
        images_api.script.append(move)
        spoken = Exchange(ServiceSettings("m", base_url=images_api.url, timeout=timeout, backoff=0.01))
        try:
            return spoken.ask(REQUEST)
        finally:
            spoken.server.close()

    return asked


@pytest.mark.parametrize(
    ("move", "says"),
    [
        ("endless", "larger than 4 MB"),
        ("slow", "took more than 0.4 s"),
        ("packed", "came as 'gzip'"),
        ("moved", "http://localhost is neither https nor the service itself"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_an_answer_without_end_or_sense_is_lost_and_costs_little(ask, images_api, move, says):
    found = ask(move, timeout=0.4 if move == "slow" else 30.0)
    assert (found.state, found.content) == (LOST, b"") and says in found.says
    assert images_api.asked["x"] == 1


def test_an_image_without_end_is_not_taken(images_api, monkeypatch):
    monkeypatch.setattr(exchange, "DOWNLOADS", 1)
    monkeypatch.setattr(exchange, "LARGEST_IMAGE", 1 << 20)
    spoken = Exchange(ServiceSettings("m", base_url=images_api.url))
    outcome = Outcome(ANSWERED, more={"url": images_api.url.replace("/v1", "/endless")})
    assert "larger than 1 MB" in spoken.fetch(outcome).says
    spoken.server.close()


@pytest.mark.parametrize("usage", [[1], "many", {"input_tokens": 10**400, "output_tokens": float("nan")}, None, {
    "input_tokens": 5, "output_tokens": 5, "input_tokens_details": {"image_tokens": "all", "more": [1, {}]},
}])  # fmt: skip
def test_what_a_service_counts_never_breaks_the_record(ask, usage):
    image = {"b64_json": exchange.base64.b64encode(picture_of("x")).decode(), "revised_prompt": "y" * 100_000}
    found = ask(json.dumps({"created": {"a": {"b": {"c": {"d": 1}}}}, "data": [image], "usage": usage}))
    assert found.state == DONE and found.content == picture_of("x")
    row = json.dumps({**found.more, "request": REQUEST, "state": DONE}, allow_nan=False)
    assert len(row) < 10_000
    assert costs(json.loads(row), PRICES)[1] in (0, 1)


@pytest.mark.parametrize("first", [
    {"b64_json": "\u00e9"}, {"b64_json": {"a": 1}}, {"url": ["x"]}, {"url": "https://x/" + "y" * 100_000}, 7, [],
])  # fmt: skip
def test_no_image_is_no_end_of_the_run(ask, first):
    found = ask(json.dumps({"data": [first]}))
    assert found.state == LOST and len(json.dumps(found.more)) < 1000


def test_errors_of_any_shape_are_answers(ask, monkeypatch):
    monkeypatch.setitem(image_server.ERRORS, "odd", (400, "no", ["x"], None))
    assert ask("odd").state == exchange.STOP


def test_tables_in_tables_are_cut():
    assert plain({"a": {"b": {"c": {"d": {"e": 1}}}}, "f": True, "g": None}) == {"a": {"b": {"c": {}}}, "f": True}
