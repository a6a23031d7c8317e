"""The output of a scan, and a desk over it."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from facecheck.checker import FaceChecker
from facecheck.review.decisions import Decisions, decisions_path
from facecheck.review.filters import AS_SCANNED
from facecheck.review.pictures import Pictures
from facecheck.review.server import Desk, make_server
from facecheck.review.table import ReviewTable
from tests.facecheck.scan.conftest import row


def write_rows(path: Path, rows: Iterable[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def no_rules(_: str):
    return [AS_SCANNED]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory, grace) -> Path:
    """The output of a scan of 24 pictures in two folders, of a file that is no picture, and of one that is gone."""
    folder = tmp_path_factory.mktemp("scanned")
    portrait = Image.fromarray(grace).crop((100, 0, 400, 300)).resize((96, 96))
    rows = []
    for number in range(24):
        path = folder / ("a" if number % 2 else "b") / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        portrait.rotate(number).save(path)
        found = path.stat()
        face = {"box": [20.0, 20.0, 80.0, 80.0], "landmarks": [[30.0, 30.0]] * 5, "confidence": 1.0}
        face |= {"p_fake": 1 - number / 24, "verdict": "fake" if number < 12 else "real", "reasons": []}
        one = row(str(path), 1 - number / 24, size=found.st_size, mtime_ns=found.st_mtime_ns, width=96, height=96)
        rows.append(one | {"faces": [face]})
    rows += [row(str(folder / "broken.jpg"), error="<b>not a picture</b>"), row(str(folder / "gone.png"), 0.01)]
    return write_rows(folder / "scan.jsonl", rows)


@pytest.fixture
def output(scanned, tmp_path) -> Path:
    """The same for one test: decisions about it are its own."""
    return write_rows(tmp_path / "scan.jsonl", map(json.loads, scanned.read_text().splitlines()))


@pytest.fixture
def desk(output, checker: FaceChecker) -> Desk:
    table = ReviewTable(output, no_rules)
    return Desk(table, Decisions(decisions_path(output)), Pictures(lambda: checker), "Ana")


@pytest.fixture
def serve() -> Iterator[Callable[[Desk], str]]:
    """Start a server for a desk; gives its address."""
    running = []

    def start(desk: Desk) -> str:
        server, address = make_server(desk)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return address

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
