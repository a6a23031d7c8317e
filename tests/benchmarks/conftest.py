"""Pictures and stacks that the tests of the benchmark share."""

import dataclasses
import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import NaiveStack
from facecheck import model
from facecheck.model import DEFAULT_MODEL
from facecheck.model.checkpoint import Model, save_model


@pytest.fixture(autouse=True)
def quick_collection() -> Iterator[None]:
    """The benchmark collects garbage before each run; here it need not look at all that the tests have loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def naive() -> NaiveStack:
    return NaiveStack()


@pytest.fixture
def small_default_model(tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the model that ships: both stacks agree as well on a network that is converted in no time."""
    weights = tmp_path / "weights"
    save_model(tiny_model.network, dataclasses.replace(tiny_model.config, name=DEFAULT_MODEL), weights)
    monkeypatch.setattr(model, "WEIGHTS_DIR", weights)


@pytest.fixture(scope="session")
def two_photos(tmp_path_factory: pytest.TempPathFactory, grace_path: Path, astronaut: np.ndarray) -> Path:
    """A folder with two portraits and a file that is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "grace.jpg").write_bytes(grace_path.read_bytes())
    Image.fromarray(astronaut).resize((600, 600)).save(folder / "astronaut.png")
    (folder / "notes.txt").write_text("no photo")
    return folder
