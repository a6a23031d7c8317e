"""The files of a Space are whole; a screenshot shows a judged picture, and says what it needs."""

import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from demo import tools
from demo.cli import main
from tests.demo.conftest import ROOT


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
@pytest.mark.usefixtures("browser")
def test_a_screenshot_shows_the_page_with_a_verdict(grace_path, tmp_path):
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
    subprocess.run(command, cwd=ROOT, check=True, timeout=tools.READY_S, capture_output=True)
    with Image.open(out) as picture:
        assert picture.size == (390, 700)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 1000  # A photograph stands in it.
