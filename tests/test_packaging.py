"""The wheel installs facecheck alone, with the weights, and the metadata says what the code needs."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from facecheck.decoding import PLUGINS

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


FIRST_WITHOUT_KNOWN_HOLES = {
    "torch": ("2.13", "CVE-2025-3000, CVE-2026-24747"),
    "opencv-python": ("4.12", "CVE-2025-53644"),
    "pillow": ("12.3", "CVE-2026-59197 to CVE-2026-59200, CVE-2026-55798, CVE-2026-42308"),
    "pillow-heif": ("1.8.1", "CVE-2026-84383, CVE-2026-84384, GHSA-x8r2-mggj-j6wr, all of libheif; CVE-2026-28231"),
    "pillow-jxl-plugin": ("1.3.4", "CVE-2025-12474, CVE-2026-1837, both of libjxl"),
    "click": ("8.3.3", "CVE-2026-7246"),
    "gradio": ("6.20", "CVE-2026-59806, GHSA-j36p-7w88-g82j, CVE-2026-28414, CVE-2026-28416"),
    "h11": ("0.16", "CVE-2025-43859"),
    "anyio": ("4.14.2", "CVE-2026-63374, CVE-2026-64847, CVE-2026-63349"),
    "python-multipart": ("0.0.31", "CVE-2026-53538 to CVE-2026-53540, CVE-2026-42561, CVE-2026-40347"),
    "starlette": ("1.3.1", "CVE-2026-54282, CVE-2026-54283, CVE-2026-48710, CVE-2025-62727"),
    "onnx": ("1.22", "CVE-2026-44512, CVE-2026-27489, CVE-2026-34445 to CVE-2026-34447, CVE-2026-28500"),
    "transformers": ("5.10.1", "CVE-2026-9856, CVE-2026-80047, CVE-2026-5241, CVE-2026-4372, CVE-2026-1839"),
    "diffusers": ("0.38", "CVE-2026-44513, CVE-2026-44827, CVE-2026-45804"),
    "idna": ("3.15", "CVE-2026-45409"),
    "sentencepiece": ("0.2.1", "CVE-2026-1260"),
    "django": ("5.2.16", "CVE-2026-53877, CVE-2026-53878, CVE-2026-48588, CVE-2026-6873"),
    "ray": ("2.52", "CVE-2025-62593"),
    "pyarrow": ("23.0.1", "CVE-2026-25087"),
    "scikit-learn": ("1.5", "CVE-2024-5206"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "setuptools": ("83", "CVE-2026-59890, CVE-2025-47273"),
    "cryptography": ("50", "CVE-2026-69247 to CVE-2026-69249, CVE-2026-26007"),
    "pytest": ("9.0.3", "CVE-2025-71176"),
}
"""Name -> the first version without a hole that was published by November 2026, and the holes of those before it."""


@pytest.mark.parametrize("name", FIRST_WITHOUT_KNOWN_HOLES)
def test_no_version_with_a_known_hole_is_asked_for(name):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = "\n".join(config["options.extras_require"].values())
    needs = [Requirement(line) for line in f"{config['options']['install_requires']}\n{extras}".split("\n") if line]
    floors = [spec.version for need in needs if need.name == name for spec in need.specifier if spec.operator == ">="]
    first, holes = FIRST_WITHOUT_KNOWN_HOLES[name]
    assert floors and all(Version(floor) >= Version(first) for floor in floors), holes


def test_pictures_are_never_decoded_by_what_gets_no_more_fixes():
    """pi-heif ended with libheif 1.23.0: files that run code in it are known, CVE-2026-84383 among them."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert "pi-heif" not in "\n".join(config["options.extras_require"].values()).replace("_", "-")
    assert PLUGINS["HEIF"] == "pillow_heif"


def test_doors_of_gradio_that_the_page_has_no_use_for_are_shut():
    assert {"run_history=False", "ssr_mode=False"} <= set(re.findall(r"\w+=False", (ROOT / "demo/app.py").read_text()))


def test_weights_are_at_most_fifty_megabytes():
    files = list((ROOT / "facecheck" / "weights").iterdir())
    assert max(path.stat().st_size for path in files) <= 50_000_000
