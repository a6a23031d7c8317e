"""A real Ray cluster on this machine writes the rows of one process, also when a worker is killed."""

import os
import signal
import time
from pathlib import Path

import pytest

from facecheck.checker import FaceChecker
from facecheck.errors import ModelError
from facecheck.scan import cluster as cluster_of_scan
from facecheck.scan.cluster import Cluster, Placed
from facecheck.scan.inputs import Inputs
from facecheck.scan.ledger import ScanLedger
from facecheck.scan.rows import Judge, Settings, failed_row, model_info
from facecheck.scan.scanner import Scanner
from facecheck.settings import CheckerSettings
from tests.facecheck.scan.conftest import read_rows


def answers(path: Path) -> dict:
    return {
        row["path"]: (row["verdict"], row["p_fake"] and round(row["p_fake"], 4), row["size"]) for row in read_rows(path)
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, from its threads
def test_a_killed_worker_loses_and_doubles_nothing(two_nodes, folder, portrait, tmp_path):
    for number in range(40):
        portrait.resize((48, 48)).rotate(number).save(folder / f"{number}.png")
    settings, inputs = Settings(model_info(None)), Inputs([str(folder)])
    with ScanLedger(tmp_path / "one.jsonl", settings) as ledger:
        list(Scanner(ledger, lambda: FaceChecker(device="cpu")).run(inputs))
    with (
        ScanLedger(tmp_path / "ray.jsonl", settings) as ledger,
        Cluster(two_nodes.address, settings, CheckerSettings(device="cpu")) as cluster,
    ):
        (_, first), (_, second) = cluster.ray.get([worker.place.remote() for worker in cluster.workers])
        assert first != second
        outcomes = cluster.run(Scanner(ledger, lambda: pytest.fail("the model is the workers'")), inputs)
        next(outcomes)
        os.kill(first, signal.SIGKILL)
        assert len(list(outcomes)) == 43
    assert len(read_rows(tmp_path / "ray.jsonl")) == 44
    assert answers(tmp_path / "ray.jsonl") == answers(tmp_path / "one.jsonl")


def slow_worker():
    """Made here, so that Ray sends its code."""

    class Slow(Placed):
        def __init__(self, settings, _):
            self.settings = settings

        def rows(self, candidates):
            time.sleep(0.1)
            return [failed_row(candidate, self.settings, "not looked at") for candidate in candidates]

    return Slow


@pytest.mark.filterwarnings("ignore")  # Ray's own, from its threads
def test_a_machine_that_is_lost_for_good_loses_and_doubles_nothing(two_nodes, settings, tmp_path, monkeypatch):
    (folder := tmp_path / "in").mkdir()
    for number in range(160):
        (folder / f"{number}.png").touch()
    monkeypatch.setattr(cluster_of_scan, "_Worker", slow_worker())
    monkeypatch.setattr(cluster_of_scan, "PATIENCE_S", 0.5)
    with (
        ScanLedger(tmp_path / "rows.jsonl", settings) as ledger,
        Cluster(two_nodes.address, settings, CheckerSettings(device="cpu")) as cluster,
    ):
        cluster.ray.get([worker.place.remote() for worker in cluster.workers])
        outcomes = cluster.run(Scanner(ledger, lambda: pytest.fail("not here")), Inputs([str(folder)]))
        next(outcomes)
        two_nodes.remove_node(two_nodes.second)
        assert len(list(outcomes)) == 159
    paths = [row["path"] for row in read_rows(tmp_path / "rows.jsonl")]
    assert sorted(paths) == sorted(str(path) for path in folder.iterdir())


def test_a_missing_cluster_is_said_in_one_line(scan, folder, tmp_path):
    refused = scan(folder, "--out", tmp_path / "rows.jsonl", "--ray", "127.0.0.1:1")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: cannot reach a Ray cluster at 127.0.0.1:1")
    assert refused.stderr.count("\n") == 1


class Dies:
    """A cluster whose workers die of one file; the others' rows come back."""

    class exceptions:  # noqa: N801 - as Ray names it
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            pass

    def wait(self, waiting, num_returns, timeout):
        return waiting[:num_returns], waiting[num_returns:]

    def get(self, done):
        group = done
        if any(candidate.path.endswith("a.jpg") for candidate in group):
            raise self.exceptions.RayError("died")
        return [row | {"path": candidate.path} for candidate in group for row in [ROW]]


ROW = {"size": 1, "mtime_ns": 1, "verdict": "real", "error": None, "budget": None, "clip": None}


def test_a_file_that_kills_its_worker_is_a_row_and_harms_no_other(folder, settings, tmp_path):
    ROW["model"] = {"name": settings.model.name, "version": settings.model.version, "sha256": settings.model.sha256}

    class Worker:
        class rows:  # noqa: N801
            remote = staticmethod(tuple)

    cluster = Cluster("nowhere", settings, CheckerSettings("tiny"))
    cluster.ray, cluster.workers = Dies(), [Worker()]
    with ScanLedger(tmp_path / "rows.jsonl", settings) as ledger:
        outcomes = list(cluster.run(Scanner(ledger, lambda: pytest.fail("not here")), Inputs([str(folder)])))
    rows = {Path(row["path"]).name: row for row in read_rows(tmp_path / "rows.jsonl")}
    assert len(outcomes) == len(rows) == 4
    assert "its worker died 4 times" in rows["a.jpg"]["error"]
    assert [name for name, row in rows.items() if row["error"]] == ["a.jpg"]


def test_a_worker_with_another_model_is_refused(settings, checker):
    with pytest.raises(ModelError, match="same model everywhere"):
        _ = Judge(settings, lambda: checker).checker
