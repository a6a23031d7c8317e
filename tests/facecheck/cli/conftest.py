"""A folder of pictures, as people keep them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path, grace_path: Path, cat: np.ndarray) -> Path:
    """A portrait, a cat in a folder below, and files that are hidden."""
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.jpg").write_bytes(b"x")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "a.jpg").write_bytes(grace_path.read_bytes())
    Image.fromarray(cat).save(tmp_path / "b" / "cat.png")
    return tmp_path
