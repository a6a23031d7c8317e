"""Other programs: gradio_client, schemathesis, and two hundred uploads at once."""

import base64
import gc
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from demo.settings import Settings
from tests.demo.conftest import as_file, serving


@pytest.fixture
def small_portrait(grace) -> bytes:
    return as_file(Image.fromarray(grace).resize((256, 300)), quality=90)


def test_gradio_client_gets_the_librarys_answer(small_server, small_portrait, checker):
    from gradio_client import Client

    client = Client(small_server, verbose=False, analytics_enabled=False)
    url = "data:image/jpeg;base64," + base64.b64encode(small_portrait).decode()
    answer = client.predict(url, api_name="/check")
    assert answer["verdict"] == checker.predict(small_portrait).verdict
    assert client.predict("no picture", api_name="/check")["error"]
    client.close()


def shown_lines(server: str, language: str) -> str:
    """The lines for one language on the page for programs, with the server's own address."""
    page = httpx.get(f"{server}/for-programs").text
    lines = unescape(re.search(rf'<pre data-run="{language}"[^>]*>(.*?)</pre>', page, re.S).group(1))
    assert "http://127.0.0.1:7860" in lines
    return lines.replace("http://127.0.0.1:7860", server)


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_lines_for_programs_run(small_server, small_portrait, checker, tmp_path, language):
    (tmp_path / "photo.jpg").write_bytes(small_portrait)
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    lines = shown_lines(small_server, language)
    command = shlex.split(lines) if language == "curl" else [sys.executable, "-c", lines]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    verdict = checker.predict(small_portrait).verdict
    if language == "curl":
        assert json.loads(done.stdout)["predictions"][0]["verdict"] == verdict
    else:
        assert done.stdout.split()[:2] == ["photo.jpg", verdict]


def test_the_lines_for_browsers_run(browser, small_server, small_portrait, checker):
    page = browser.new_page()
    page.goto(f"{small_server}/for-programs")
    lines, data = shown_lines(small_server, "javascript"), base64.b64encode(small_portrait).decode()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.evaluate(
        f"""async (data) => {{
          const file = new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "photo.jpg");
          {lines}
        }}""",
        data,
    )
    page.close()
    assert any(text.startswith(checker.predict(small_portrait).verdict) for text in said)


def test_errors_are_problem_details_that_say_what_to_do(small_server):
    post = f"{small_server}/api/v1/predict"
    answers = {
        415: httpx.post(post, content=b"x"),
        422: httpx.post(post, json={"pictures": []}),
        404: httpx.get(f"{small_server}/nowhere"),
        413: httpx.post(post, content=b"x" * (4 << 20)),
    }
    for status, answer in answers.items():
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (
            set(problem) == {"type", "title", "status", "detail"} and problem["status"] == status and problem["detail"]
        )
    assert "application/problem+json" in httpx.get(f"{small_server}/openapi.json").text


@pytest.mark.slow
def test_schemathesis_finds_no_server_error(small_server):
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{small_server}/openapi.json", "--checks",
        "not_a_server_error,content_type_conformance,response_schema_conformance", "--max-examples", "25",
        "--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color", "--request-timeout", "30",
    ]  # fmt: skip
    if not Path(command[0]).is_file():
        pytest.skip("needs schemathesis (the dev extra)")
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tempfile.gettempdir())
    assert found.returncode == 0, found.stdout[-3000:]


@pytest.mark.slow
def test_two_hundred_uploads_from_twenty_clients(checker, small_portrait, cat, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    sent = {"face.jpg": small_portrait, "cat.png": as_file(Image.fromarray(cat), "PNG"), "bad.jpg": b"no picture"}
    expected = {name: answer.verdict for name, answer in zip(sent, checker.predict(list(sent.values())), strict=True)}

    def upload(number: int, address: str) -> str:
        name = list(sent)[number % 3]
        answer = httpx.post(f"{address}/api/v1/predict", files={"files": (name, sent[name])}, timeout=120)
        if answer.status_code == 503:
            assert "wait" in answer.json()["detail"] and answer.headers["retry-after"]
            return "busy"
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["predictions"]
        assert (prediction["source"], prediction["verdict"]) == (name, expected[name])
        return "answered"

    settings = Settings(workers=2, waiting=8, feedback=tmp_path / "feedback")
    with serving(settings, checker) as address, ThreadPoolExecutor(20) as clients:
        list(clients.map(lambda number: upload(number, address), range(40)))
        start = _memory()
        outcomes = Counter(clients.map(lambda number: upload(number, address), range(200)))
        end = _memory()
        metrics = httpx.get(f"{address}/metrics").text
    assert (
        sum(outcomes.values()) == 200
        and outcomes["answered"] >= settings.workers + settings.waiting
        and outcomes["busy"] > 0
    )
    assert end < start * 1.2
    assert re.search(r"^facecheck_kept_pictures 0\.0$", metrics, re.M) and "facecheck_waiting 0.0" in metrics
    assert list(scratch.rglob("*")) == [] and not (tmp_path / "feedback").exists()


def _memory() -> int:
    gc.collect()
    return psutil.Process(os.getpid()).memory_info().rss
