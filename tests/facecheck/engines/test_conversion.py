"""Converted networks agree with torch, and the cache holds whole entries or none."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from facecheck.engines import conversion
from facecheck.engines.conversion import FREE, ConversionError, converted, converted_now, save_network
from facecheck.engines.openvino import Requests
from tests.conftest import TinyNetwork

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FACECHECK_CACHE", str(tmp_path))
    return tmp_path / "openvino"


@pytest.fixture(scope="module")
def tiny() -> torch.nn.Module:
    torch.manual_seed(0)
    return TinyNetwork().eval()


@pytest.fixture(scope="module")
def whole(tiny):
    return converted_now(tiny, (FREE, 3, 64, 64))


@pytest.fixture
def quick(monkeypatch, whole) -> None:
    """What torch takes a second for is done already."""
    monkeypatch.setattr(conversion, "converted_now", lambda *_: whole)


def making(network, calls, shape=(FREE, 3, 64, 64)):
    def make():
        calls.append(1)
        return network, shape

    return make


def logits(network, faces):
    with Requests(network).borrowed() as request:
        return request.infer([faces])[0]


def expected(network, faces):
    with torch.inference_mode():
        return network(torch.from_numpy(faces)).numpy()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_converted_network_agrees_with_torch_at_any_batch_size(tiny, whole, batch):
    faces = np.random.default_rng(0).normal(size=(batch, 3, 64, 64)).astype(np.float32)
    np.testing.assert_allclose(logits(whole, faces), expected(tiny, faces), atol=1e-5)


def test_height_and_width_may_be_free_too_and_outputs_several():
    class TwoHeads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = torch.nn.Conv2d(3, 4, 3), torch.nn.MaxPool2d(2, 2, ceil_mode=True)
            self.box, self.score = torch.nn.Conv2d(4, 4, 1), torch.nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = self.pool(self.conv(x))
            return self.box(x), torch.nn.functional.softmax(self.score(x), dim=1)

    network = TwoHeads().eval()
    requests = Requests(converted_now(network, (FREE, 3, FREE, FREE)))
    for size in ((1, 3, 12, 12), (3, 3, 33, 20)):
        pixels = np.random.default_rng(0).normal(size=size).astype(np.float32)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(pixels))
        with requests.borrowed() as request:
            found = request.infer([pixels])
        for index, one in enumerate(wanted):
            np.testing.assert_allclose(found[index], one.numpy(), atol=1e-5)


def test_threads_may_convert_at_the_same_time(tiny):
    """torch.export and OpenVINO's converter keep what they do in globals."""
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: converted_now(tiny, (FREE, 3, 64, 64)), range(2)))
    faces = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    for network in made:
        np.testing.assert_allclose(logits(network, faces), expected(tiny, faces), atol=1e-5)


def test_what_cannot_be_converted_says_what_to_do():
    class Fickle(torch.nn.Module):
        def forward(self, x):
            return x if float(x.sum()) > 0 else -x

    class Antialiased(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.interpolate(x, (4, 4), mode="bicubic", antialias=True)

    root = logging.getLogger()
    before = root.level, list(root.filters), list(root.handlers)
    for kind, why in ((Fickle, "data-dependent"), (Antialiased, "bicubic2d")):
        with pytest.raises(ConversionError, match=rf"cannot run {kind.__name__} \(.*{why}.*engine='torch'"):
            converted_now(kind(), (FREE, 3, 8, 8))
    assert (root.level, root.filters, root.handlers) == before


@pytest.mark.usefixtures("quick")
def test_the_second_time_nothing_is_made(tiny, cache):
    calls, faces = [], np.ones((2, 3, 64, 64), np.float32)
    first, second = (converted("a", making(tiny, calls)) for _ in range(2))
    assert calls == [1]
    np.testing.assert_array_equal(logits(first, faces), logits(second, faces))
    (entry,) = cache.iterdir()
    assert json.loads((entry / "manifest.json").read_text())["key"] == "a"


@pytest.mark.usefixtures("quick")
def test_other_keys_formats_and_versions_are_other_entries(tiny, cache, monkeypatch):
    calls: list[int] = []
    converted("a", making(tiny, calls))
    converted("b", making(tiny, calls))
    monkeypatch.setattr(conversion, "FORMAT", 99)
    converted("a", making(tiny, calls))
    assert len(calls) == len(list(cache.iterdir())) == 3


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["network.bin", "network.xml", "manifest.json"])
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
def test_a_damaged_entry_is_made_again(tiny, cache, caplog, name, harm):
    calls, faces = [], np.ones((1, 3, 64, 64), np.float32)
    converted("a", making(tiny, calls))
    (entry,) = cache.iterdir()
    harm(entry / name)
    np.testing.assert_allclose(logits(converted("a", making(tiny, calls)), faces), expected(tiny, faces), atol=1e-5)
    assert "damaged" in caplog.text
    converted("a", making(tiny, calls))
    assert calls == [1, 1]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("where", ["a file", "no home"])
def test_a_cache_that_cannot_be_written_is_no_error(tiny, tmp_path, monkeypatch, caplog, where):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACECHECK_CACHE", str(tmp_path / "file") if where == "a file" else "~nobody-at-all/cache")
    faces = np.ones((1, 3, 64, 64), np.float32)
    np.testing.assert_allclose(logits(converted("a", making(tiny, [])), faces), expected(tiny, faces), atol=1e-5)
    assert "not kept" in caplog.text


@pytest.mark.usefixtures("quick")
def test_a_full_disk_leaves_no_partial_entry(tiny, cache, monkeypatch, caplog):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion.os, "fsync", fail)
    assert converted("a", making(tiny, [])) is not None
    assert "No space left" in caplog.text
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_what_killed_processes_left_and_old_entries_go(tiny, cache):
    for name, age_s in (("partial-old", 7200), ("partial-new", 60), ("0ld", 90 * 86400), ("n3w", 86400)):
        (cache / name).mkdir(parents=True, mode=0o755)
        (cache / name / "manifest.json").write_text('{"key": "another", "sha256": {}}')
        os.utime(cache / name, (time.time() - age_s,) * 2)
    cache.chmod(0o700)
    converted("a", making(tiny, []))
    left = {path.name for path in cache.iterdir()}
    assert {"partial-new", "n3w"} <= left
    assert not {"partial-old", "0ld"} & left


@pytest.mark.usefixtures("quick")
def test_what_others_keep_in_the_cache_stays(tiny, cache, tmp_path):
    mine = tmp_path / "elsewhere"
    for folder in (cache / "my-project", cache / "partial-draft", cache / "manifested", mine):
        folder.mkdir(parents=True)
        (folder / "work.txt").write_text("of a hundred days")
    (cache / "manifested" / "manifest.json").write_text('{"name": "a web app"}')
    (cache / "linked").symlink_to(mine)
    cache.chmod(0o700)
    for path in cache.iterdir():
        os.utime(path, (time.time() - 100 * 86400,) * 2)
    converted("a", making(tiny, []))
    assert len(list(cache.glob("*/work.txt"))) == 4 and (mine / "work.txt").is_file()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("whose", ["everybody's", "another's"])
def test_a_cache_that_others_may_write_to_is_not_believed(tiny, cache, monkeypatch, caplog, whose):
    calls: list[int] = []
    converted("a", making(tiny, calls))
    (entry,) = cache.iterdir()
    if whose == "everybody's":
        cache.chmod(0o777)
        entry.chmod(0o777)
    else:
        monkeypatch.setattr(conversion.os, "getuid", lambda: 4711)
        monkeypatch.setattr(conversion, "ADMINISTRATOR", 4712)
    converted("a", making(tiny, calls))
    assert calls == [1, 1] and str(cache) in caplog.text and "others" in caplog.text
    if whose == "everybody's":
        assert [path.name for path in cache.with_name(f"openvino-{os.getuid()}").iterdir()] == [entry.name]
        converted("a", making(tiny, calls))
        assert calls == [1, 1]


PROGRAM = """
import sys, time
from facecheck.engines import conversion
from facecheck.engines.runtime import core

made = core().read_model(sys.argv[1])
conversion.converted_now = lambda *_: made
if sys.argv[2:] == ["slowly"]:
    whole = conversion.os.fsync
    def fsync(handle):
        print("half way", flush=True)
        time.sleep(60)
    conversion.os.fsync = fsync
conversion.converted("a", lambda: (None, ()))
print("done")
"""


def process(graph: Path, *arguments: str) -> subprocess.Popen:
    """One that keeps what was converted already: torch alone would take it seconds."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(graph), *arguments], stdout=subprocess.PIPE, text=True)


def test_killed_half_way_it_leaves_nothing_that_counts_and_two_at_once_agree(tiny, whole, cache, tmp_path_factory):
    graph = tmp_path_factory.mktemp("made") / "network.xml"
    save_network(whole, graph)
    killed = process(graph, "slowly")
    assert killed.stdout.readline() == "half way\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert [path.name.startswith("partial-") for path in cache.iterdir()] == [True]
    both = [process(graph), process(graph)]
    assert [(one.communicate()[0], one.returncode) for one in both] == [("done\n", 0)] * 2
    calls: list[int] = []
    converted("a", making(tiny, calls))
    assert calls == []
    assert sorted(path.name.startswith("partial-") for path in cache.iterdir()) == [False, True]
