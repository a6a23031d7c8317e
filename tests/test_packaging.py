"""The wheel installs facecheck alone, with the weights, and the metadata says what the code needs."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    copy = tmp_path_factory.mktemp("build") / "source"
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    built = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    subprocess.run(built, check=True, capture_output=True)
    with zipfile.ZipFile(next((copy / "dist").glob("*.whl"))) as archive:
        yield archive


def test_the_wheel_holds_facecheck_alone(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"facecheck"}


def test_the_wheel_holds_the_model_the_types_and_the_licence(wheel):
    names = set(wheel.namelist())
    for name in (
        "explain/report.css",
        "provenance/statements.csv",
        "py.typed",
        "weights/facecheck-resnet50.safetensors",
        "weights/facecheck-resnet50.json",
        "weights/MODEL_CARD.md",
    ):
        assert f"facecheck/{name}" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_the_release_that_drags_torch_back_is_refused():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    needs = config["options"]["install_requires"].split()
    assert "facenet-pytorch>=2.5.3,!=2.6.0" in needs
    assert not any(need.startswith("opencv-python-headless") for need in needs)
    assert {"example", "demo", "generation", "training", "openvino", "dev"} <= set(config["options.extras_require"])


def test_weights_are_at_most_fifty_megabytes():
    files = list((ROOT / "facecheck" / "weights").iterdir())
    assert max(path.stat().st_size for path in files) <= 50_000_000
