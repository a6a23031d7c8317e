"""Every state that a visitor can be in ends in a sentence."""

import base64
import threading
from collections import Counter

import pytest

from demo import texts
from demo.page.blocks import Objections
from demo.page.handlers import CheckHandlers, heat_map
from demo.server.service import BusyError, Service
from demo.server.uploads import Uploads
from demo.settings import Settings
from facecheck import image
from facecheck.detection.detector import FaceDetector
from facecheck.result import Verdict
from tests.demo.conftest import in_a_thread


@pytest.fixture
def uploads():
    return Uploads(1 << 24, 60)


@pytest.fixture
def handlers(checker, uploads):
    return CheckHandlers(Service(lambda: checker, 1, 1), uploads, Settings())


def read(handlers: CheckHandlers, ticket: str) -> list[tuple[str, bool]]:
    async def all_of_it() -> list[tuple[str, bool]]:
        return [step async for step in handlers.check(ticket)]

    return in_a_thread(all_of_it())


@pytest.mark.parametrize(
    ("ticket", "said"),
    [
        ("!nothing", texts.NOTHING_CHOSEN),
        ("!unsent", texts.UNSENT),
        ("!busy", texts.BUSY),
        ("!whatever<script>", texts.UNSENT),
        ("!too_large", texts.too_large(20)),
        ("guessed", texts.GONE),
    ],
)
def test_without_a_picture_there_is_a_sentence_and_no_verdict(handlers, ticket, said):
    ((html, judged),) = read(handlers, ticket)
    assert said[0] in html and not judged and "<script" not in html


def test_a_picture_that_is_gone_is_marked_with_its_ticket(handlers):
    ((html, _),) = read(handlers, '"guessed">')
    assert 'data-gone="&quot;guessed&quot;&gt;"' in html


def test_while_the_model_loads_the_visitor_reads_so_and_then_the_verdict(checker, uploads, portrait):
    loaded = threading.Event()
    handlers = CheckHandlers(Service(lambda: (loaded.wait(5), checker)[1], 1, 1), uploads, Settings())
    ticket = uploads.put(portrait)
    threading.Timer(0.3, loaded.set).start()
    (first, _), *_, (last, judged) = read(handlers, ticket)
    assert texts.LOADING[0] in first and "data-verdict" in last and judged
    assert uploads.get(ticket).prediction.verdict in set(Verdict)


def test_a_picture_with_all_its_evidence_is_decoded_once_and_detected_once(handlers, uploads, portrait, monkeypatch):
    calls = Counter()

    def counted(place: object, name: str) -> None:
        plain = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *given, **named: (calls.update([name]), plain(*given, **named))[1])

    _ = handlers.service.checker
    counted(image, "read")
    counted(FaceDetector, "detect")
    ticket = uploads.put(portrait)
    html = read(handlers, ticket)[-1][0]
    assert "saved and resized again" in html and "What the file says" in html
    assert heat_map(uploads.get(ticket), 1, handlers.service.checker).shape[2] == 3
    assert calls == {"read": 1, "detect": 1}


def test_busy_and_broken_are_said_politely(handlers, uploads, portrait, monkeypatch, caplog):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /srv/app")

    ticket = uploads.put(portrait)
    _ = handlers.service.checker
    monkeypatch.setattr(handlers.service, "judge", broken)
    assert texts.BROKEN[0] in read(handlers, ticket)[-1][0] and "/srv" not in read(handlers, ticket)[-1][0]
    assert "could not be judged" in caplog.text

    async def busy(*_: object) -> None:
        raise BusyError

    monkeypatch.setattr(handlers.service, "run", busy)
    assert texts.BUSY[0] in read(handlers, ticket)[-1][0]


def test_a_model_that_cannot_be_loaded_is_said_too(uploads, portrait):
    def broken() -> None:
        raise OSError("gone")

    handlers = CheckHandlers(Service(broken, 1, 1), uploads, Settings())
    assert texts.BROKEN[0] in read(handlers, uploads.put(portrait))[-1][0]


def test_a_data_url_gets_the_librarys_answer_and_rubbish_an_error(handlers, portrait, checker):
    url = "data:image/jpeg;base64," + base64.b64encode(portrait).decode()
    assert in_a_thread(handlers.check_picture(url))["p_fake"] == pytest.approx(
        checker.predict(portrait).p_fake, abs=1e-4
    )
    for rubbish in ("", "data:image/png,%%%", "http://127.0.0.1/x.jpg", "/etc/passwd"):
        answer = in_a_thread(handlers.check_picture(rubbish))
        assert answer["error"] and answer["verdict"] is None


def test_only_true_consent_to_a_judged_picture_is_kept(handlers, uploads, store, portrait):
    objections, ticket = Objections(store, uploads), uploads.put(portrait)
    for consent in (False, None, "yes", 1):
        assert objections.send(ticket, "real", "", consent) == texts.NO_CONSENT
    assert objections.send(ticket, "real", "", True) == " ".join(texts.GONE)
    read(handlers, ticket)
    assert objections.send(ticket, None, "", True) == objections.send(ticket, "maybe", "", True) == texts.NO_LABEL
    assert objections.send("guessed", "real", "", True) == " ".join(texts.GONE)
    assert store.all() == []
    receipt = objections.send(ticket, "real", "", True).partition("code is ")[2].partition(".")[0]
    assert objections.delete("0000-0000-0000-0000") == texts.NOT_FOUND
    assert objections.delete(receipt) == texts.DELETED and store.all() == []
