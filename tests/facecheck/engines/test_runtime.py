"""OpenVINO as we use it: silent, and no more threads than allowed."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from facecheck import files
from facecheck.engines import openvino, runtime

pytest.importorskip("openvino")


@pytest.mark.parametrize("first", ["", "import openvino_telemetry;"])
def test_openvino_is_imported_without_its_telemetry(first, tmp_path):
    code = (
        f"import sys; {first} before = sys.modules.get('openvino_telemetry')\n"
        "from facecheck.engines.runtime import core, openvino; core()\n"
        "assert sys.modules.get('openvino_telemetry') is before\n"
        "from openvino.tools.ovc import telemetry_utils, convert_impl\n"
        "assert telemetry_utils.tm.__name__ == convert_impl.tm.__name__ == 'openvino.tools.ovc.telemetry_stub'\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"HOME": str(tmp_path), "PATH": ""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "asked"),
    [("facecheck.engines.runtime", "openvino()"), ("facecheck.engines.choosing", "choose('cpu', 'openvino')")],
)
def test_without_openvino_the_message_says_what_to_install(module, asked):
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        f"from {module} import {asked.partition('(')[0]}\n"
        f"try:\n    {asked}\nexcept Exception as error:\n    print(type(error).__name__, error)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told.startswith("DeviceError")
    assert 'pip install "facecheck[openvino]"' in told


IDENTITY = (
    '<net name="identity" version="11"><layers><layer id="0" name="in" type="Parameter" version="opset1">'
    '<data shape="1" element_type="f32"/><output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>'
    '<layer id="1" name="out" type="Result" version="opset1"><input><port id="0" precision="FP32"/></input></layer>'
    '</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>'
)


def test_threads_that_begin_together_do_not_wait_for_each_other():
    """OpenVINO's binding does (2026.4), in its first look at a tensor; a short interval makes them meet every time."""
    code = (
        "import sys, threading; sys.setswitchinterval(1e-6)\n"
        "from facecheck.engines.runtime import core\n"
        f"network = core().read_model({IDENTITY.encode()!r}, b'')\n"
        "tensor, begin = core().compile_model(network, 'CPU').create_infer_request().get_input_tensor(0), "
        "threading.Barrier(4)\n"
        "threads = [threading.Thread(target=lambda: (begin.wait(), tensor.data)) for _ in range(4)]\n"
        "for thread in threads: thread.start()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 12, 15, 16, 48, 64])
def test_workers_leave_few_processors_idle(monkeypatch, count):
    monkeypatch.setattr(runtime, "processors", lambda: count)
    workers, threads = runtime.best_workers(), runtime.threads_per_worker()
    assert 1 <= workers <= runtime.MAX_WORKERS
    assert 0.8 * count <= workers * threads <= count


def test_more_callers_than_lanes_share_all_networks():
    class Compiled:
        made = 0

        def create_infer_request(self) -> object:
            self.made += 1
            return object()

    requests = openvino.Requests(runtime.core().read_model(IDENTITY.encode(), b""), workers=2)
    requests._compiled = [Compiled(), Compiled()]
    with ExitStack() as busy:
        given = [busy.enter_context(requests.borrowed()) for _ in range(6)]
        assert len(set(map(id, given))) == 6
    assert [each.made for each in requests._compiled] == [2, 2]


@pytest.mark.parametrize(
    ("variable", "quota", "limit"),
    [
        ("", None, None),
        ("3", "100000 100000", 3),
        ("4,2", None, 4),
        ("0", None, None),
        ("nonsense", "max 100000", None),
        ("", "150000 100000", 2),
        ("", "1000 100000", 1),
    ],
)
def test_the_limit_of_threads(monkeypatch, tmp_path, variable, quota, limit):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(runtime, "CPU_QUOTA", tmp_path / "cpu.max")
    if quota:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert runtime.thread_limit() == limit


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"FACECHECK_CACHE": "/c"}, "/c"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/facecheck"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/facecheck"),
        ("linux", {}, "/home/me/.cache/facecheck"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/me/Library/Caches/facecheck"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/facecheck/cache"),
        ("win32", {}, "/home/me/AppData/Local/facecheck/cache"),
    ],
)
def test_the_cache_is_where_the_system_wants_it(monkeypatch, platform, variables, folder):
    for name in ("FACECHECK_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (variables | {"HOME": "/home/me"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert files.cache_folder() == Path(folder)


FORKED = """
import os, signal, sys
import numpy as np, torch
torch.set_num_threads(2)
from facecheck.checker import FaceChecker
from facecheck.model.architectures import ARCHITECTURES, Architecture
from facecheck.model.checkpoint import Model
from facecheck.model.config import ModelConfig
from tests.conftest import TinyNetwork

ARCHITECTURES["tiny"] = Architecture(TinyNetwork, head="fc", input_size=64)
model = Model(TinyNetwork().eval(), ModelConfig("tiny", "0", "tiny", input_size=64))
checker = FaceChecker(model, device="cpu", engine="torch")
picture = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
checker.predict(picture)
torch.ones(1 << 22).sum()
child = os.fork()
if child == 0:
    signal.alarm(60)  # What hangs is ended.
    checker.predict(picture)
    FaceChecker(model, device="cpu", engine="torch").predict(picture)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow  # A process that loads all of torch, for its threads.
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_answers():
    """Threads of torch stay behind in the parent; a child that waits for them waits for ever."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=300, cwd=Path(__file__).parents[3])
