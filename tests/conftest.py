"""Pictures, models and a browser that the tests share."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from torch import nn

from facecheck.checker import FaceChecker
from facecheck.detection.detector import FaceDetector
from facecheck.model.architectures import ARCHITECTURES, Architecture
from facecheck.model.checkpoint import Model
from facecheck.model.config import Decision, ModelConfig
from tests.clips import Redness, head

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Workers of pytest-xdist share the processors: each, and what it starts, computes with its part of the threads.

    Files come by name; by default those of many tests are first, and the longest test, alone in its file, is last.
    """
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    # Where a test is the first to import OpenVINO, each conversion would send twenty events, from as many processes.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        threads = max(1, len(os.sched_getaffinity(0)) // workers)
        torch.set_num_threads(threads)
        os.environ |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


@pytest.fixture(scope="session", autouse=True)
def converted_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each network is converted once for all tests, and nothing is written to the cache of whoever runs them.

    FACECHECK_TESTS_CACHE names a folder that keeps them for the next run: half a minute less for each.
    """
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.getbasetemp()
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        folder = os.environ.get("FACECHECK_TESTS_CACHE") or shared / "cache"
        patch.setenv("FACECHECK_CACHE", str(folder))
        yield


@contextmanager
def alone(doing: str) -> Iterator[None]:
    """Of the processes that run tests, one at a time."""
    with (Path(tempfile.gettempdir()) / f"facecheck-tests-{doing}-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def ray_alone() -> Iterator[None]:
    """Ray's clusters of one machine find each other; where tests run in several processes, one has its cluster."""
    pytest.importorskip("ray", reason="needs Ray")
    with alone("ray"):
        yield


@pytest.fixture(scope="module")
def two_nodes(ray_alone: None) -> Iterator[Any]:
    """Two workers on this machine, each a Ray node of its own."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.second = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="session", autouse=True)
def no_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is asked over TLS here, and each httpx client would read those of all the world first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("certificates")))
        yield


@pytest.fixture(scope="session")
def grace_path() -> Path:
    """A portrait in the public domain that ships with matplotlib: one face."""
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def grace(grace_path: Path) -> np.ndarray:
    return np.asarray(Image.open(grace_path).convert("RGB"))


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A portrait in the public domain that ships with scikit-image: one face."""
    return np.asarray(Image.open(Path(skimage.data_dir) / "astronaut.png").convert("RGB"))


@pytest.fixture(scope="session")
def cat() -> np.ndarray:
    """No human face."""
    return np.asarray(Image.open(Path(skimage.data_dir) / "chelsea.png").convert("RGB"))


@pytest.fixture(scope="session")
def shared_photos() -> list[Path]:
    folder = SHARED / "photos"
    if not folder.is_dir():
        pytest.skip("needs the photos of ../shared/data, which are not part of the repository")
    return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))


@pytest.fixture(scope="session")
def shared_faces() -> Path:
    folder = SHARED / "faces"
    if not folder.is_dir():
        pytest.skip("needs the faces of ../shared/data, which are not part of the repository")
    return folder


class TinyNetwork(nn.Module):
    """A classifier small enough to be trained and saved in a test."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5, stride=4)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 1)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.fc(self.bn1(self.conv1(faces)).relu().mean(dim=(2, 3)))


@pytest.fixture(scope="session", autouse=True)
def tiny_architecture() -> Iterator[None]:
    ARCHITECTURES["tiny"] = Architecture(TinyNetwork, head="fc", input_size=64)
    yield
    del ARCHITECTURES["tiny"]


def _tiny_fusion() -> nn.Module:
    from torchvision.models import ConvNeXt, SwinTransformer
    from torchvision.models.convnext import CNBlockConfig

    from facecheck.model.architectures import ConvNextSwin

    convnext = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)])
    return ConvNextSwin(convnext, SwinTransformer([4, 4], 8, [2, 2], [1, 2], [7, 7]))


@pytest.fixture
def tiny_fusion(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the fusion of a ConvNeXt and a Swin transformer."""
    monkeypatch.setitem(ARCHITECTURES, "tiny_fusion", Architecture(_tiny_fusion, head="fc", input_size=64))
    return "tiny_fusion"


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    torch.manual_seed(0)
    return Model(TinyNetwork().eval(), ModelConfig("tiny", "0", "tiny", input_size=64))


@pytest.fixture(scope="session")
def detector() -> FaceDetector:
    with alone("converting"):  # The others find it in the cache.
        return FaceDetector()


@pytest.fixture(scope="session")
def checker(tiny_model: Model, detector: FaceDetector) -> FaceChecker:
    return FaceChecker(tiny_model, device="cpu", detector=detector, precision="f32")


@pytest.fixture(scope="session")
def default_checker() -> FaceChecker:
    """The model that ships with the package."""
    with alone("converting"):
        return FaceChecker(device="cpu")


@pytest.fixture(scope="session")
def woman(grace: np.ndarray) -> np.ndarray:
    return head(grace)


@pytest.fixture(scope="session")
def astronaut_head(astronaut: np.ndarray) -> np.ndarray:
    return head(astronaut[:, 60:400])


@pytest.fixture(scope="session")
def red_model() -> Model:
    ARCHITECTURES["redness"] = Architecture(Redness, head="fc", input_size=64)
    decision = Decision(uncertain_from=0.4, uncertain_to=0.6)
    return Model(Redness().eval(), ModelConfig("redness", "0", "redness", input_size=64, decision=decision))


@pytest.fixture(scope="session")
def red_checker(red_model: Model, detector) -> FaceChecker:
    return FaceChecker(red_model, device="cpu", detector=detector, engine="torch", precision="f32")


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright (the dev extra)")
    if not CHROMIUM:
        pytest.skip("needs Debian's Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source; `npm install --no-save axe-core` puts it there."""
    script = Path(os.environ.get("AXE_CORE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
    if not script.is_file():
        pytest.skip("needs axe-core: npm install --no-save axe-core")
    return script.read_text(encoding="utf-8")
