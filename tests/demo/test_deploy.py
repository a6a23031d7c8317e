"""The image's steps, run in a clean folder (there may be no Docker engine): what is copied starts and is healthy."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")


def steps(name: str) -> list[str]:
    return re.findall(rf"^\s*{name} +(.+)$", DOCKERFILE, re.M)


def test_it_is_not_root_and_holds_weights_and_health_check():
    assert steps("USER") == ["reality"] and DOCKERFILE.index("USER") < DOCKERFILE.index("HEALTHCHECK")
    copied = {source for step in steps("COPY") for source in step.split()[:-1]}
    assert {"facecheck", "demo", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"} == copied
    assert {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")} == copied
    assert (ROOT / "facecheck" / "weights" / "facecheck-resnet50.safetensors").is_file()


@pytest.mark.slow
def test_its_command_starts_in_a_clean_folder_and_is_healthy(tmp_path):
    """The COPY, CMD and HEALTHCHECK steps; the installation is that of the environment which runs the tests."""
    for step in steps("COPY"):
        *sources, target = step.split()
        for source in sources:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
            copy(ROOT / source, tmp_path / target / (source if target.endswith("/") else ""))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    health, start = (json.loads(command) for command in re.findall(r"CMD +(\[.+\])", DOCKERFILE))
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, *start[1:-2], "--feedback-dir", str(home / "feedback"), "--port", port]
    check = [sys.executable, *(word.replace("7860", port) for word in health[1:])]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            end = time.monotonic() + 300
            while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
                assert time.monotonic() < end and server.poll() is None
                time.sleep(0.5)
        finally:
            server.terminate()
            server.communicate(timeout=30)
    assert list(home.rglob("*.sqlite")) == []


@pytest.mark.skipif(not os.environ.get("FACECHECK_FULL_INSTALL"), reason="minutes: set FACECHECK_FULL_INSTALL=1")
def test_its_installation_step_is_enough(tmp_path):
    """The RUN pip step in a new virtual environment, then an import of all that the page needs."""
    (install,) = [step for step in steps("RUN") if "pip install" in step]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", *shlex.split(install)], cwd=ROOT, check=True)
    subprocess.run([python, "-m", "demo", "--help"], cwd=ROOT, check=True)
