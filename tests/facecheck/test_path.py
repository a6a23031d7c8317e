"""The path of one picture through the files of the package, as CONTRIBUTING.md tells it."""

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

import facecheck

PACKAGE = Path(facecheck.__file__).parent
CONTRIBUTING = PACKAGE.parent / "CONTRIBUTING.md"
MOST_FILES = 14
"""One of them stands between the files of strangers and the decoders."""


@pytest.fixture
def visited(grace, tmp_path) -> set[str]:
    """Files of which `facecheck.predict` runs something, for a photo without metadata, once the model is loaded."""
    pytest.importorskip("openvino", reason="the path of the engine that is chosen by default")
    path, files = tmp_path / "photo.jpg", set()
    Image.fromarray(grace).save(path, quality=95)
    facecheck.predict(path)

    def note(frame, event, _):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(str(PACKAGE)):
            files.add(Path(name).relative_to(PACKAGE).as_posix())

    sys.setprofile(note)
    try:
        prediction = facecheck.predict(path)
    finally:
        sys.setprofile(None)
    assert prediction.faces
    return files


def test_one_picture_visits_few_files_and_contributing_names_each(visited):
    assert {"checker.py", "crop.py", "detection/detector.py"} <= visited
    assert len(visited) <= MOST_FILES, sorted(visited)
    section = CONTRIBUTING.read_text().partition("## The path of one picture")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)?\.py)`", section))
    assert visited <= told
    assert all((PACKAGE / name).is_file() for name in told)
