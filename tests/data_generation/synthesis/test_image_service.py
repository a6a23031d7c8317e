"""Images of a service: nothing is paid twice, nothing is lost, and the record says what the service said."""

import dataclasses
import hashlib
import io
import json
import os
import queue
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from data_generation import GenerationError, store
from data_generation.api_client import Prices
from data_generation.gate import Gate, Measurements
from data_generation.record import Prompt
from data_generation.store import read_folder
from data_generation.synthesis import ServiceSettings, courier, exchange, service
from data_generation.synthesis.courier import Courier
from data_generation.synthesis.exchange import LOST, REFUSED, UNSENT
from data_generation.synthesis.service import Service, ServiceRun, read_requests
from facecheck.ledger import KeyedLedger
from tests.data_generation.image_server import picture_of
from tests.forkserver import forking

KEY = "sk-secret-0123456789"
TABLE = Prices("USD", {"m": {"image": {"low": {"96x96": 0.02}, "high": {"96x96": 0.5}}}})
TOKENS = Prices(
    "USD", {"m": {"image": {"low": {"96x96": 0.5}}, "million_tokens": {"text_in": 5, "image_in": 8, "out": 30}}}
)


class _Blind(Gate):
    """Looks for no faces: the pictures here are noise, and a detector takes longer to load than all of them."""

    def __init__(self) -> None:
        pass

    def measure(self, images):
        return [Measurements((), "0" * 32, 50.0, 0.0)] * len(images)


@pytest.fixture(autouse=True)
def blind(monkeypatch):
    monkeypatch.setattr(store, "Gate", _Blind)


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"p{i}", "c", i, f"person {i}", "", {"age": "elderly"}, "template", "") for i in range(count)]


def settings(server, **changes) -> ServiceSettings:
    usual = {"model": "m", "base_url": server.url, "key": KEY, "backoff": 0.01, "prices": TABLE, "quality": "low"}
    return ServiceSettings(**{**usual, "size": "96x96", **changes})


class Inside(Courier):
    """A courier in this process: each of the others takes a second to start."""

    def __init__(self, folder, settings):
        self.events = queue.Queue()
        super().__init__(folder, settings, self.events.put)

    def ask(self, key, values):
        self.take(key, values)

    def event(self):
        return self.events.get(timeout=60)


def make(folder, server, count=3, said=None, courier=Inside, **changes) -> ServiceRun:
    echo = (said if said is not None else []).append
    return Service(folder, settings(server, **changes), echo, courier).make(prompts(count), 1)


def states(folder) -> Counter:
    return Counter(entry["state"] for entry in read_requests(folder).values())


def test_the_original_bytes_stay_and_the_record_says_what_the_service_said(images_api, tmp_path):
    said: list[str] = []
    run = make(tmp_path, images_api, said=said, courier=None, format="jpeg", prices=TOKENS)
    assert run.counts["made"] == 3
    rows = read_folder(tmp_path)
    for row in rows:
        content = (tmp_path / row.file).read_bytes()
        assert content == picture_of(row.recipe.prompt, "96x96", "jpeg")
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert Path(row.file).suffix == ".jpg"
        assert (row.recipe.model, row.recipe.options) == ("m", '{"format": "jpeg", "quality": "low"}')
        assert row.answer["usage"]["output_tokens"] == 200
        assert row.answer["cost"] == pytest.approx((20 * 5 + 200 * 30) / 1e6)
        assert (row.answer["service"], row.answer["request_id"]) == (images_api.url, "req_1")
        assert row.known_by == f"The service at {images_api.url} answered a request with it."
        assert (row.age, row.flagged, row.attributes) == ("elderly", None, {"age": "elderly"})
    assert images_api.bodies[0] == {
        "model": "m", "prompt": images_api.bodies[0]["prompt"], "n": 1, "size": "96x96", "quality": "low",
        "output_format": "jpeg",
    }  # fmt: skip
    assert said[0].startswith("3 images to ask for, 0 were asked for before; at most 1.5000 USD (0.5000 each")
    assert said[-1] == f"3 images received, 0 were there; {3 * 0.0061:.4f} USD spent in this folder"


def test_the_image_at_an_address_is_fetched_without_the_key(images_api, tmp_path):
    images_api.as_url = True
    make(tmp_path, images_api)
    rows = read_folder(tmp_path)
    assert {(tmp_path / row.file).read_bytes() for row in rows} == {picture_of(f"person {i}") for i in range(3)}
    assert {row.answer["revised_prompt"] for row in rows} == {"A photo, revised"}
    assert images_api.keys == {f"Bearer {KEY}", None}


def test_the_key_is_in_no_file_and_no_message(images_api, tmp_path):
    images_api.script = ["moderation", "gateway", "key"]
    with pytest.raises(GenerationError) as error:
        make(tmp_path, images_api, courier=None, concurrency=1)
    assert KEY not in str(error.value)
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_busy_service_is_asked_again_when_it_says_so(images_api, tmp_path):
    images_api.script = ["busy", "down", ""]
    began = time.monotonic()
    assert make(tmp_path, images_api, count=1).counts["made"] == 1
    assert time.monotonic() - began > 0.9, "Retry-After: 1"
    assert (images_api.asked["person 0"], images_api.made["person 0"]) == (3, 1)


def test_what_moderation_refuses_is_recorded_and_not_asked_for_again(images_api, tmp_path):
    images_api.moves["person 1"] = "moderation"
    said: list[str] = []
    run = make(tmp_path, images_api, said=said)
    assert (run.counts["made"], run.counts[REFUSED]) == (2, 1)
    assert "1 refused by the service's moderation" in said[-1]
    assert make(tmp_path, images_api).counts["made"] == 0
    assert images_api.asked["person 1"] == 1
    (refused,) = (entry for entry in read_requests(tmp_path).values() if entry["state"] == REFUSED)
    assert "rejected by the safety system" in refused["says"]
    assert run.spent == pytest.approx(2 * 0.02)


NOTHING = '{"created": 1, "data": []}'


@pytest.mark.parametrize(
    "move", ["hang up", "<html>hello</html>", NOTHING, "cut base64", "half a picture", "half a JPEG", "gateway"]
)
def test_what_may_be_paid_for_is_not_asked_for_again_unless_a_person_says_so(move, images_api, tmp_path):
    images_api.moves["person 1"] = move
    said: list[str] = []
    run = make(tmp_path, images_api, said=said)
    assert (run.counts["made"], run.counts[LOST]) == (2, 1)
    assert "1 lost on their way and perhaps paid for (--retry-lost" in said[-1]
    assert run.spent == pytest.approx(3 * 0.02)
    images_api.moves.clear()
    assert make(tmp_path, images_api).counts["made"] == 0
    assert images_api.asked["person 1"] == 1
    run = make(tmp_path, images_api, retry_lost=True)
    assert (run.counts["made"], run.counts[LOST]) == (1, 0)
    assert run.spent == pytest.approx(4 * 0.02)
    assert len(read_folder(tmp_path)) == 3


@pytest.mark.parametrize(
    ("move", "says"),
    [
        ("key", "set another key"),
        ("verify", "must be verified .*set another key"),
        ("quota", "the account is used up; top it up and run again"),
        ("billing", "the account is used up"),
        ("no model", "name a model that it has with --model, 'm' is not one"),
        ("size", "Invalid value: '7x7' for size.*check --base-url"),
        ("wait for ever", "asks to wait 86400 s"),
    ],
)
def test_what_repeating_does_not_mend_ends_the_run_in_one_line_and_loses_nothing(move, says, images_api, tmp_path):
    images_api.moves["person 1"] = move
    with pytest.raises(GenerationError, match=says) as error:
        make(tmp_path, images_api, concurrency=1)
    assert "\n" not in str(error.value)
    assert [row.recipe.prompt for row in read_folder(tmp_path)] == ["person 0"]
    assert states(tmp_path) == {"done": 1, UNSENT: 1}
    images_api.moves.clear()
    assert make(tmp_path, images_api).counts["made"] == 2
    assert images_api.made == Counter({f"person {i}": 1 for i in range(3)})


def test_nobody_there_and_nobody_who_answers(images_api, tmp_path):
    with pytest.raises(
        GenerationError, match=r"no image from http://127.0.0.1:9/v1 after 2 requests .*refused.*network"
    ):
        make(tmp_path, images_api, base_url="http://127.0.0.1:9/v1", retries=1)
    assert set(states(tmp_path)) == {UNSENT}
    images_api.moves = {f"person {i}": "down" for i in range(3)}
    with pytest.raises(GenerationError, match="after 2 requests"):
        make(tmp_path, images_api, retries=1)
    assert set(states(tmp_path)) == {UNSENT}


def test_no_more_is_spent_than_allowed(images_api, tmp_path):
    with pytest.raises(GenerationError, match=r"--max-cost 0\.05 is reached: raise it and run again"):
        make(tmp_path, images_api, max_cost=0.05)
    assert images_api.made.total() == 2
    run = make(tmp_path, images_api, max_cost=0.06)
    assert (run.counts["made"], run.counts["there"], run.spent) == (1, 2, pytest.approx(0.06))
    with pytest.raises(GenerationError, match=r"table has none for quality low and size 512x512.*--prices"):
        make(tmp_path, images_api, max_cost=1, size="512x512")
    said: list[str] = []
    run = make(tmp_path / "free", images_api, model="unpriced", said=said)
    assert "what they cost is unknown" in said[0]
    assert said[-1].endswith("0.0000 USD spent in this folder, and 3 images without a price")


def test_what_tokens_cost_beyond_the_table_counts(images_api, tmp_path):
    cheap = Prices(
        "USD", {"m": {"image": {"low": {"96x96": 0.001}}, "million_tokens": TOKENS.models["m"]["million_tokens"]}}
    )
    with pytest.raises(GenerationError, match="is reached"):
        make(tmp_path, images_api, count=6, concurrency=1, prices=cheap, max_cost=0.02)
    assert images_api.made.total() == 3, "0.0061 each, though the table says 0.001"


def test_the_estimate_is_the_dearest_where_the_service_chooses():
    shipped = Prices.load()
    assert shipped.estimate("gpt-image-1-mini", "low", "1024x1024") == 0.005
    assert shipped.estimate("gpt-image-1-mini", "low") == 0.006
    assert shipped.estimate("gpt-image-1-mini", "auto", "auto") == 0.052
    assert shipped.estimate("gpt-image-1-mini", "low", "640x640") is None
    assert shipped.estimate("nobody's") is None
    assert all({"as_of", "source", "image"} <= values.keys() for values in shipped.models.values())


def test_a_table_of_prices_that_is_none_is_named(tmp_path):
    (tmp_path / "prices.json").write_text('{"models": {}}')
    with pytest.raises(GenerationError, match=r"prices.json is no table of prices .*begin with a copy of"):
        Prices.load(tmp_path / "prices.json")


def test_requests_run_side_by_side_up_to_the_limit(images_api, tmp_path):
    images_api.delay = 0.3
    make(tmp_path, images_api, count=6, concurrency=3)
    assert images_api.most == 3


def test_requests_are_spaced(images_api, tmp_path):
    began = time.monotonic()
    make(tmp_path, images_api, count=4, per_minute=300)
    assert time.monotonic() - began > 0.6


class Deaf(Courier):
    """Asks nobody."""

    def outcome(self, request):
        raise AssertionError("asked")


def in_process(folder, kind=Courier, base_url=""):
    heard: list[dict] = []
    return kind(folder, ServiceSettings("m", base_url, KEY), heard.append), heard


def test_a_request_without_an_answer_is_lost_when_the_machine_stops(tmp_path):
    with KeyedLedger(tmp_path / "requests.jsonl") as ledger:
        ledger.add("a", {"state": "sent", "request": {}})
    with in_process(tmp_path, Deaf)[0]:
        pass
    (entry,) = read_requests(tmp_path).values()
    assert (entry["state"], entry["losses"]) == ("lost", 1)


def test_an_address_that_was_named_before_the_machine_stopped_is_fetched(images_api, tmp_path):
    images_api.images["/images/0"] = picture_of("person 0")
    url = images_api.url.replace("/v1", "/images/0")
    with KeyedLedger(tmp_path / "requests.jsonl") as ledger:
        ledger.add("a", {"state": "answered", "url": url, "request": {}, "answer": {}})
    with in_process(tmp_path, Deaf, images_api.url)[0] as messenger:
        messenger.pool.shutdown(wait=True)
    (entry,) = read_requests(tmp_path).values()
    assert entry["state"] == "done"
    assert (tmp_path / entry["file"]).read_bytes() == picture_of("person 0")


def test_no_service_sends_us_to_what_only_this_machine_reaches(images_api, tmp_path, monkeypatch):
    """An address without TLS on a host that is not the service's own, as that of a cloud's metadata."""
    images_api.images["/images/0"] = picture_of("person 0")
    monkeypatch.setattr(exchange, "DOWNLOADS", 1)
    with KeyedLedger(tmp_path / "requests.jsonl") as ledger:
        url = images_api.url.replace("/v1", "/images/0")
        ledger.add("a", {"state": "answered", "url": url, "request": {}, "answer": {}})
    with in_process(tmp_path, Deaf, "https://service.example/v1")[0] as messenger:
        messenger.pool.shutdown(wait=True)
    (entry,) = read_requests(tmp_path).values()
    assert entry["state"] == "lost" and "is neither https nor the service itself" in entry["says"]
    assert images_api.keys == set() and not list((tmp_path / "images").iterdir())


def test_a_full_disk_asks_for_nothing_and_loses_no_image_that_is_paid_for(images_api, tmp_path, monkeypatch):
    room = dataclasses.make_dataclass("Room", ["free"])
    monkeypatch.setattr(courier.shutil, "disk_usage", lambda _: room(1000))
    messenger, heard = in_process(tmp_path, Deaf)
    with messenger:
        messenger.take("a", {"request": {"prompt": "x", "model": "m"}})
        messenger.pool.shutdown(wait=True)
    assert "less than 64 MB are free" in heard[-1]["says"]
    monkeypatch.undo()
    tries, whole = [], courier.write_atomically

    def full_at_first(path, data):
        tries.append(path)
        if len(tries) == 1:
            raise OSError(28, "No space left on device")
        whole(path, data)

    monkeypatch.setattr(courier, "write_atomically", full_at_first)
    messenger, heard = in_process(tmp_path, base_url=images_api.url)
    with messenger:
        messenger.take("a", {"request": {"prompt": "x", "model": "m"}})
        messenger.pool.shutdown(wait=True)
    assert heard[-1]["state"] == "done"
    assert images_api.made["x"] == 1


class Forked:
    """In place of `subprocess.Popen`: the courier in a process and a session of its own, with nothing to import."""

    def __init__(self, command, **_):
        assert command[1:] == ["-m", "data_generation.synthesis.courier"]
        (its_input, orders), (events, its_output) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(its_input, 0)
            os.dup2(its_output, 1)
            os.closerange(3, 64)
            sys.stdin = os.fdopen(0)
            try:
                courier.main()
            finally:
                os._exit(0)
        os.close(its_input)
        os.close(its_output)
        self.stdin, self.stdout = os.fdopen(orders, "w"), os.fdopen(events)

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _child(folder, server_settings, count) -> None:
    store.Gate = _Blind
    service.subprocess.Popen = Forked
    Service(folder, server_settings, lambda _: None).make(prompts(count), 1)


KILLS, IMAGES = 25, 120


@pytest.mark.slow  # The service takes its time for each image.
def test_twenty_five_kills_lose_no_image_and_ask_for_none_twice(images_api, tmp_path):
    images_api.delay = 0.25
    luck, server_settings = random.Random(0), settings(images_api)
    context = forking(
        "data_generation.synthesis.service", "data_generation.synthesis.courier", "pytest",
        "tests.data_generation.image_server",
    )  # fmt: skip
    for _ in range(KILLS):
        child = context.Process(target=_child, args=(tmp_path, server_settings, IMAGES))
        before = images_api.asked.total()
        child.start()
        end = time.monotonic() + 60
        while images_api.asked.total() < before + luck.randint(1, 4) and child.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(luck.uniform(0, 0.3))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL, "the run ended before it was killed"
    assert images_api.asked.total() < IMAGES
    assert make(tmp_path, images_api, count=IMAGES).counts[LOST] == 0
    rows = read_folder(tmp_path)
    assert len(rows) == len({row.id for row in rows}) == IMAGES
    assert set(images_api.asked.values()) == {1}
    assert states(tmp_path) == {"done": IMAGES}
    for row in rows:
        content = (tmp_path / row.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert Image.open(io.BytesIO(content)).size == (96, 96)
    assert len(list((tmp_path / "images").iterdir())) == IMAGES


def test_old_rows_are_still_read(tmp_path, images_api):
    make(tmp_path, images_api, count=1)
    line = json.loads((tmp_path / "manifest.jsonl").read_text())
    for later in ("pixels", "known_by", "answer"):
        del line[later]
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    (row,) = read_folder(tmp_path)
    assert (row.size, row.known_by, row.answer) == ((96, 96), "", {})


def test_a_run_waits_for_what_an_earlier_one_still_receives(images_api, tmp_path, caplog):
    earlier, heard = in_process(tmp_path, base_url=images_api.url)
    images_api.delay = 1.0
    with earlier:
        earlier.take("a", {"request": {"prompt": "x", "model": "m"}})
        while not images_api.asked:
            time.sleep(0.01)
        later, _ = in_process(tmp_path, Deaf)
        waiting = threading.Thread(target=later.__enter__)
        waiting.start()
    waiting.join(timeout=30)
    assert heard[-1]["state"] == "done"
    assert "still receiving" in caplog.text
    assert later.ledger.entries["a"]["state"] == "done"
    later.__exit__()
