"""A data folder of a few pictures, with a manifest; tables of scores and calibration sets that are made up."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import FaceFile
from training.evaluation.observations import SMALL, CalibrationSet
from training.evaluation.scores import Scores


@pytest.fixture(scope="session")
def data_once(tmp_path_factory, astronaut, grace, cat) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pictures = {
        "real/a": astronaut[:300, 80:380],
        "real/b": grace,
        "fake/c": np.flipud(cat)[:280],
        "fake/d": grace[:, ::-1],
    }
    lines = ["file,label,source,split,group,x0,y0,x1,y1"]
    for group, (name, picture) in enumerate(pictures.items()):
        for split, right in (("train", 30), ("val", 60), ("test", 0)):
            path = folder / f"{name}-{split}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.roll(picture, right, axis=1)).save(path, quality=92)
            x0, y0, x1, y1 = (190, 120, 330, 300) if name[-1] in "bd" else (100, 40, 230, 190)
            box = f"{x0 + right},{y0},{x1 + right},{y1}"
            lines.append(f"{name}-{split}.jpg,{name[:4]},s{name[-1]},{split},{split}{group},{box}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def data(data_once, tmp_path) -> Path:
    """Twelve files: two faces in both roles, and a cat on which MTCNN finds nothing; each split has them elsewhere."""
    return shutil.copytree(data_once, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def with_world(data) -> Path:
    """The same files, those of the test split as whole sources of the split world."""
    manifest = data / "manifest.csv"
    lines = manifest.read_text().splitlines()
    moved = [
        line.replace(",test,", ",world,", 1).replace(",s", ",unseen-", 1) if ",test," in line else line
        for line in lines
    ]
    manifest.write_text("\n".join(moved))
    return data


def _row(k, label, p_fake, **other):
    facts = {"source": "s", "generator": "", "group": str(k), "tier": "clean", "threshold": 0.5, "verdict": label}
    people = {"detected": True, "face_px": 100.0, "age": "", "gender": "", "ethnicity": ""}
    return facts | people | {"file": f"{k}.jpg", "label": label, "p_fake": p_fake} | other


def _made_up(count=600, shift=0.2, seed=1):
    rng = np.random.default_rng(seed)
    return Scores.from_rows(
        _row(k, label, float(np.clip(0.5 + (shift if label == "fake" else -shift) + rng.normal(0, 0.2), 0, 1)),
            source=f"s{k % 3}", generator=("GAN", "diffusion")[k % 2] if label == "fake" else "", group=str(k // 4))
        for k, label in enumerate(["real", "real", "fake", "fake"] * (count // 4))
    )  # fmt: skip


@pytest.fixture(scope="session")
def row():
    """Makes one row of a score table, of number, label, p_fake and whatever other columns matter."""
    return _row


@pytest.fixture(scope="session")
def made_up():
    """Makes a score table of count, shift and seed; a larger shift is a better detector."""
    return _made_up


def _faces(count=600, seed=0, face_px=None, shift=0.0):
    """A validation set of `count` files in two tiers, four sources a class, groups of two."""
    rng = np.random.default_rng(seed)
    targets = np.tile(rng.integers(0, 2, count), 2)
    sizes = np.exp(rng.uniform(np.log(24), np.log(300), 2 * count)) if face_px is None else np.full(2 * count, face_px)
    logits = 2.0 * (rng.normal(size=2 * count) + (2 * targets - 1) * 1.5) + shift
    sources = np.array([f"{('real', 'fake')[t]}/s{i % 4}" for i, t in enumerate(targets)])
    groups = np.array([f"{t}-{i % count // 2}" for i, t in enumerate(targets)])
    return CalibrationSet(logits, sizes, targets, sources, groups, np.repeat(["clean", SMALL], count))


def _files(data):
    """A row of a manifest for each file of a calibration set."""
    first = {(source, group): k for k, (source, group) in enumerate(zip(data.sources, data.groups, strict=True))}
    return [
        FaceFile(Path("x"), source[:4], source[5:], "world", f"{group}", (0, 0, 1, 1), source[5:] * (source[0] == "f"))
        for source, group in first
    ]


@pytest.fixture(scope="session")
def faces():
    """Makes a calibration set of count, seed, face_px and shift."""
    return _faces


@pytest.fixture(scope="session")
def files():
    """Makes a row of a manifest for each file of a calibration set."""
    return _files
