"""Killed at ten random moments, a scan still writes exactly one row for each file."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.model.architectures import ARCHITECTURES, Architecture
from facecheck.scan import scanner
from facecheck.scan.inputs import Inputs
from facecheck.scan.ledger import ScanLedger
from facecheck.scan.rows import Settings, model_info
from tests.conftest import TinyNetwork
from tests.facecheck.scan.conftest import read_rows
from tests.forkserver import forking

FILES, KILLS = 120, 10


def scan_all(folder: str, out: str, weights: str) -> None:
    ARCHITECTURES["tiny"] = Architecture(TinyNetwork, head="fc", input_size=64)
    scanner.WORKER_PICTURES = 2
    with ScanLedger(Path(out), Settings(model_info(weights))) as ledger:
        for _ in scanner.Scanner(ledger, lambda: FaceChecker(weights, device="cpu")).run(Inputs([folder])):
            pass


@pytest.mark.slow
def test_killed_at_ten_random_moments(tmp_path, portrait, weights):
    rng = np.random.default_rng(6)
    folder, out = tmp_path / "in", tmp_path / "rows.jsonl"
    folder.mkdir()
    for number in range(FILES):
        face = portrait.resize((48, 48)) if number % 10 else Image.new("RGB", (24, 24))
        face.rotate(number).save(folder / f"{number:03d}.png")
    (folder / "050.png").write_bytes(b"junk")
    processes = forking("facenet_pytorch", "facecheck.video.judging", "tests.facecheck.scan.conftest")
    finished = 0
    for _ in range(KILLS):
        process = processes.Process(target=scan_all, args=(str(folder), str(out), str(weights)))
        process.start()
        enough = finished + int(rng.integers(1, 8))
        while lines(out) < enough and process.is_alive():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        assert process.is_alive(), "it ended by itself: the test needs more files"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        finished = lines(out)
        assert finished < FILES
    last = processes.Process(target=scan_all, args=(str(folder), str(out), str(weights)))
    last.start()
    last.join()
    assert last.exitcode == 0
    rows = read_rows(out)
    assert sorted(row["path"] for row in rows) == sorted(str(path) for path in folder.iterdir())
    assert [row["path"] for row in rows if row["error"]] == [str(folder / "050.png")]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
