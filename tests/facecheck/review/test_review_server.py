"""The page's server: on this machine alone, to whoever has its address, and what it is sent is never a path."""

import io
import re
import webbrowser
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from click.testing import CliRunner
from PIL import Image

from facecheck.cli import main
from facecheck.review.decisions import decisions_path
from facecheck.review.server import make_server
from tests.full_disk import SAYS, no_room


@pytest.fixture
def address(desk, serve) -> str:
    return serve(desk)


def decide(address: str, **values) -> httpx.Response:
    return httpx.post(f"{address}api/decide", json={"judgement": "generated", "seen": 0, "by": "Ben"} | values)


def test_the_page_loads_nothing_from_elsewhere(address):
    for name in ("", "review.css", "list.js", "about.js", "review.js"):
        answer = httpx.get(address + name)
        assert answer.status_code == 200
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_only_who_has_the_address_is_answered(address):
    place = urlsplit(address)
    root = f"{place.scheme}://{place.netloc}"
    for path in ("/", "/api/rows", "/x/api/rows", f"{place.path.rstrip('/')}x/api/rows", "/review.js"):
        assert httpx.get(root + path).status_code == 404
    assert httpx.get(f"{address}api/rows").status_code == 200
    assert httpx.get(f"{address}api/rows", headers={"Host": "evil.example"}).status_code == 404
    assert httpx.get(f"{address}api/rows", headers={"Origin": "http://evil.example"}).status_code == 404


def test_no_other_user_sees_the_address_among_the_processes(output, monkeypatch):
    """What a browser is called with, everybody on the machine can list."""
    seen = []

    def opened(door: str) -> None:
        page = Path(unquote(urlsplit(door).path))
        seen.append((door, page, page.read_text(), page.parent.stat().st_mode & 0o077))

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", opened)
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", stop)
    ran = CliRunner().invoke(main, ["review", str(output)])
    ((door, page, text, others),) = seen
    address = re.search(r"http://127\.0\.0\.1:\d+/[^/]+/", ran.stderr)[0]
    assert door.startswith("file://") and address not in door and f"url={address}" in text
    assert others == 0 and not page.exists()


def test_no_other_machine_can_reach_it(desk):
    server, address = make_server(desk)
    with server:
        assert server.server_address[0] == urlsplit(address).hostname == "127.0.0.1"


def test_nothing_that_it_is_sent_is_a_path(address, output):
    guesses = "../../etc/passwd %2e%2e/%2e%2e/etc/passwd picture//etc/passwd static/review.js export/x original/0"
    queries = "picture/999 api/nothing api/rows?sort=1;drop api/rows?rule=9 api/about?id=x"
    for path in f"{guesses} {queries}".split():
        assert httpx.get(address + path).status_code in (400, 404)
    assert httpx.post(f"{address}api/decide", content=b"id=1").status_code == 400
    assert httpx.post(f"{address}api/decide", json={"id": 1, "judgement": "fake", "seen": 0}).status_code == 400
    assert httpx.post(f"{address}api/decide", json={"id": 999, "judgement": None, "seen": 0}).status_code == 400
    assert httpx.post(f"{address}api/decide", json={"x": "y" * 20_000}).status_code == 400
    assert not decisions_path(output).exists()


def test_pictures_are_ours_and_originals_are_not_shown(address, desk):
    first = httpx.get(f"{address}api/rows?sort=path").json()["rows"][0]
    for kind, side in (("thumbnail", 240), ("picture", 96), ("heat", 64)):
        answer = httpx.get(f"{address}{kind}/{first['id']}", timeout=60)
        assert answer.headers["content-type"] == "image/jpeg", answer.text
        assert Image.open(io.BytesIO(answer.content)).size == (side, side)
    original = httpx.get(f"{address}original/{first['id']}")
    assert original.headers["content-disposition"].startswith("attachment")
    assert original.headers["content-type"] == "application/octet-stream"
    assert original.headers["x-content-type-options"] == "nosniff"
    with open(desk.table.row(first["id"])["path"], "rb") as stream:  # noqa: PTH123
        assert original.content == stream.read()
    for name in ("gone", "broken"):
        (one,) = httpx.get(f"{address}api/rows?text={name}").json()["rows"]
        refused = httpx.get(f"{address}thumbnail/{one['id']}")
        assert refused.status_code == 422
        assert f"{name}." in refused.json()["error"]


def test_what_is_said_of_a_file(address):
    fake = httpx.get(f"{address}api/rows").json()["rows"][0]
    about = httpx.get(f"{address}api/about?id={fake['id']}").json()
    assert (about["verdict"], about["headline"]) == ("fake", "This face looks generated")
    assert "not a proof" in about["explained"][0]
    assert about["decision"] is None
    (broken,) = httpx.get(f"{address}api/rows?text=broken").json()["rows"]
    assert httpx.get(f"{address}api/about?id={broken['id']}").json()["error"] == "<b>not a picture</b>"


def test_two_people_see_each_other_and_do_not_overwrite(address):
    first = httpx.get(f"{address}api/rows").json()["rows"][0]["id"]
    assert decide(address, id=first).json()["seen"] == 1
    refused = decide(address, id=first, judgement="genuine", by="Ana")
    assert refused.status_code == 409
    assert "Ben has just marked it generated" in refused.json()["error"]
    news = httpx.get(f"{address}api/news?seen=0").json()
    assert news == {"seen": 1, "changes": [{"id": first, "judgement": "generated", "by": "Ben"}]}
    assert decide(address, id=first, judgement="genuine", by="Ana", seen=1).status_code == 200
    assert httpx.get(f"{address}api/rows").json()["rows"][0]["decision"] == "genuine"
    assert decide(address, id=first, judgement=None, by="Ana", seen=2).status_code == 200
    assert httpx.get(f"{address}api/rows").json()["rows"][0]["decision"] is None


def test_on_a_full_disk_the_page_says_so_and_goes_on_when_there_is_room(address, output):
    first = httpx.get(f"{address}api/rows").json()["rows"][0]["id"]
    with no_room():
        refused = decide(address, id=first)
    assert (
        refused.status_code == 422 and refused.json()["error"] == f"{decisions_path(output)} cannot be written ({SAYS})"
    )
    assert httpx.get(f"{address}api/news?seen=0").json() == {"seen": 0, "changes": []}
    assert decide(address, id=first).json()["seen"] == 1


def test_files_to_take_away(address):
    first = httpx.get(f"{address}api/rows").json()["rows"][0]
    decide(address, id=first["id"])
    table = httpx.get(f"{address}export/decisions.csv")
    assert table.headers["content-disposition"] == 'attachment; filename="decisions.csv"'
    assert table.text.splitlines()[1].startswith(f"{first['shown']},generated,Ben,")
    assert ",fake" in httpx.get(f"{address}export/manifest.csv").text
    page = httpx.get(f"{address}export/summary.html", timeout=60).text
    assert 'class="said generated">generated' in page
    assert "<script" not in page


def test_the_command_writes_them_too(output, tmp_path, desk):
    desk.decide({"id": 1, "judgement": "generated", "seen": 0})
    words = ["review", str(output), "--csv", str(tmp_path / "d.csv"), "--export", str(tmp_path / "report")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    assert ",generated,Ana," in (tmp_path / "d.csv").read_text()
    assert "Decided by people: generated (1)" in (tmp_path / "report" / "summary.html").read_text()
    refused = CliRunner().invoke(main, ["review", str(output), "--labels", str(tmp_path / "x" / "labels.csv")])
    assert "folder above" in refused.stderr
    missing = CliRunner().invoke(main, ["review", str(tmp_path / "nothing.parquet")])
    assert missing.exit_code == 1
    assert "nothing.parquet.jsonl is not there" in missing.stderr
