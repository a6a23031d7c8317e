"""`python -m demo`: options become settings, and the server starts, offline, with a verdict soon after."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import httpx
import pytest
import uvicorn
from click.testing import CliRunner, Result
from PIL import Image

import demo.app
from demo.cli import READY_S, main
from tests.conftest import CHROMIUM
from tests.demo.conftest import ROOT, in_a_thread
from tests.speed import reference_seconds_of_command


@pytest.fixture
def settings(monkeypatch):
    made = []
    monkeypatch.setattr(demo.app, "create_app", made.append)
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: None)
    return made


def test_help_is_quick_and_loads_neither_torch_nor_gradio():
    code = (
        "import runpy, sys\nsys.argv[1:] = ['--help']\n"
        "try:\n    runpy.run_module('demo', run_name='__main__')\nexcept SystemExit as end:\n"
        "    print([name for name in ('torch', 'cv2', 'gradio', 'fastapi') if name in sys.modules], end.code)"
    )
    spent, said = reference_seconds_of_command(["-c", code], ROOT)
    assert "--feedback-dir" in said and said.endswith("[] 0\n")
    assert spent < 0.7


def test_options_become_settings(settings, tmp_path):
    options = "--port 1234 --max-mb 5 --workers 1 --waiting 3 --rate 9 --auth ann:se:cret --api-key a --api-key b"
    more = f"--cors https://a.example --framed-by https://b.example --feedback-dir {tmp_path} --feedback-mb 7"
    result = CliRunner().invoke(main, [*options.split(), *more.split()])
    assert result.exit_code == 0, result.output
    (made,) = settings
    assert (made.host, made.port, made.max_bytes, made.workers, made.waiting) == ("127.0.0.1", 1234, 5 << 20, 1, 3)
    assert (made.auth, made.api_keys, made.rate) == (("ann", "se:cret"), ("a", "b"), 9)
    assert (made.cors, made.framed_by) == (("https://a.example",), ("https://b.example",))
    assert (made.feedback, made.feedback_mb) == (tmp_path, 7)


def test_an_open_address_without_a_password_is_pointed_out(settings):
    assert "--auth" in CliRunner().invoke(main, ["--host", "0.0.0.0"]).output
    assert "--auth" not in CliRunner().invoke(main, []).output
    assert CliRunner().invoke(main, ["--auth", "nonsense"]).exit_code == 2


@pytest.mark.slow
def test_agents_without_their_package_are_told_how_to_get_it(tmp_path, monkeypatch):
    if importlib.util.find_spec("mcp"):
        pytest.skip("gradio[mcp] is installed")
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: None)
    result = in_a_thread(_invoked(["--mcp", "--feedback-dir", str(tmp_path / "feedback")]))
    assert result.exit_code == 1 and "gradio[mcp]" in result.output and "Traceback" not in result.output


async def _invoked(options: list[str]) -> Result:
    return CliRunner().invoke(main, options)


@pytest.mark.slow
def test_it_starts_and_answers(tmp_path, portrait):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "demo", "--port", port, "--feedback-dir", str(tmp_path / "feedback")]
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            answer = _first_answer(f"http://127.0.0.1:{port}/api/v1/predict", portrait)
        finally:
            process.terminate()
            said = process.communicate(timeout=30)[0]
    assert answer["predictions"][0]["faces"] and answer["predictions"][0]["model"]["name"] == "facecheck-resnet50"
    assert re.search(rf"http://127\.0\.0\.1:{port}", said)


def _first_answer(url: str, picture: bytes) -> dict:
    # Ten seconds on a quiet machine; others may use this one too.
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            return httpx.post(url, files={"files": picture}, timeout=60, trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


def test_the_files_of_a_space_are_whole(tmp_path):
    out = tmp_path / "space"
    assert CliRunner().invoke(main, ["space", str(out)]).exit_code == 0
    card = (out / "README.md").read_text()
    assert re.match(r"---\n(.+\n)+---\n", card) and "sdk: docker" in card and "app_port: 7860" in card
    for source in ("facecheck/weights/facecheck-resnet50.safetensors", "demo/__main__.py", "setup.cfg"):
        assert (out / source).is_file()
    assert "FRAMED_BY=https://huggingface.co" in (out / "Dockerfile").read_text()
    assert "not empty" in CliRunner().invoke(main, ["space", str(out)]).output


def test_without_a_browser_a_screenshot_says_what_to_install(grace_path, tmp_path, monkeypatch):
    pytest.importorskip("playwright")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    result = CliRunner().invoke(main, ["screenshot", str(grace_path), str(tmp_path / "page.png")])
    assert result.exit_code == 1 and "apt-get install chromium" in result.output


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Debian's Chromium: apt-get install chromium")
def test_a_screenshot_shows_the_page_with_a_verdict(grace_path, tmp_path):
    pytest.importorskip("playwright", reason="needs Playwright (the dev extra)")
    out = tmp_path / "page.png"
    command = [
        sys.executable,
        "-m",
        "demo",
        "screenshot",
        str(grace_path),
        str(out),
        "--width",
        "390",
        "--height",
        "700",
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=READY_S, capture_output=True)
    with Image.open(out) as picture:
        assert picture.size == (390, 700)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 1000  # A photograph stands in it.
