"""A data folder of a few pictures, with a manifest."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def data(tmp_path, astronaut, grace, cat) -> Path:
    """Six files: two faces in both roles, and a cat on which MTCNN finds nothing."""
    pictures = {
        "real/a": astronaut[:300, 80:380],
        "real/b": grace,
        "fake/c": np.flipud(cat)[:280],
        "fake/d": grace[:, ::-1],
    }
    lines = ["file,label,source,split,group,x0,y0,x1,y1"]
    for group, (name, picture) in enumerate(pictures.items()):
        for split in ("train", "val", "test"):
            path = tmp_path / f"{name}-{split}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(picture)).save(path, quality=92)
            box = "190,120,330,300" if name[-1] in "bd" else "100,40,230,190"
            lines.append(f"{name}-{split}.jpg,{name[:4]},s{name[-1]},{split},{split}{group},{box}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return tmp_path
