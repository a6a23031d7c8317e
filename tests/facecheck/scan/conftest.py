"""A small model on disk, small pictures, and the command in this process."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.cli import main
from facecheck.detection.detector import FaceDetector
from facecheck.model.checkpoint import Model, save_model
from facecheck.scan.rows import Settings, model_info
from facecheck.settings import CheckerSettings


@pytest.fixture(scope="session")
def weights(tiny_model: Model, tmp_path_factory) -> Path:
    """The tiny model as files."""
    return save_model(tiny_model.network, tiny_model.config, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def settings(weights: Path) -> Settings:
    return Settings(model_info(str(weights)))


@pytest.fixture(scope="session")
def portrait(grace: np.ndarray) -> Image.Image:
    """One face of about 60 px."""
    return Image.fromarray(grace).crop((100, 0, 400, 300)).resize((128, 128))


@pytest.fixture
def folder(tmp_path: Path, portrait: Image.Image) -> Path:
    """Two portraits, a wall, and a file that is no picture."""
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    portrait.save(photos / "a.jpg", quality=95)
    portrait.rotate(4).save(photos / "more" / "b.png")
    Image.new("RGB", (80, 60), "grey").save(photos / "wall.png")
    (photos / "notes.jpg").write_text("no picture")
    return photos


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What a scan writes."""
    return tmp_path / "rows.jsonl"


@pytest.fixture
def scan(monkeypatch, weights: Path, detector: FaceDetector) -> Callable[..., Result]:
    """Run `facecheck scan`; `scan.loads` lists the checkers that it made."""
    made: list[str] = []
    checker = FaceChecker(weights, device="cpu", detector=detector, precision="f32")

    def make(chosen: CheckerSettings, **_: object) -> FaceChecker:
        made.append(chosen.model)
        return checker

    monkeypatch.setattr(CheckerSettings, "checker", make)

    def invoke(*arguments: object, stdin: bytes = b"") -> Result:
        given = ["scan", *map(str, arguments)]
        return CliRunner().invoke(main, given if "--model" in given else [*given, "--model", str(weights)], input=stdin)

    invoke.loads = made
    return invoke


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def row(path: str, p_fake: float | None = None, error: str | None = None, **more) -> dict:
    verdict = None if error else "no_face" if p_fake is None else "fake" if p_fake > 0.5 else "real"
    face = {"box": [0.0, 0.0, 9.0, 9.0], "landmarks": [[1.0, 1.0]] * 5, "confidence": 1.0, "p_fake": p_fake}
    faces = [] if p_fake is None else [face | {"verdict": verdict, "reasons": []}]
    base = {
        "path": path,
        "kind": "picture",
        "size": 1,
        "mtime_ns": 10**18 + 1,
        "sha256": None,
        "fingerprint": None,
        "verdict": verdict,
    }
    model = {"name": "tiny", "version": "0", "sha256": "x"}
    base |= {"p_fake": p_fake, "reasons": [], "faces": faces, "model": model, "error": error, "budget": None}
    base |= {"timing_ms": {"decode": 1.0, "detect": 1.0, "classify": 0.0}, "width": 9, "height": 9, "clip": None}
    return base | more
