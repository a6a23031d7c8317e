"""The file of rows: whole lines only, one writer, the last row of a path counts."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from facecheck.errors import ScanError
from facecheck.result import Prediction
from facecheck.scan.ledger import ScanLedger
from facecheck.scan.rows import Candidate, row_of
from tests.facecheck.scan.conftest import read_rows
from tests.full_disk import no_room


@pytest.fixture
def make_row(settings):
    def make(path: str, size: int = 1, **changes):
        prediction = Prediction(path, (4, 3), model=settings.model)
        return row_of(Candidate(path, size, 5), replace(prediction, **changes), None)

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows.jsonl"


ODD = ("/a\nb.jpg", "/\udcff.jpg", "/<script>.jpg", "/\u00fc\u4e2d.jpg", '/"quoted".jpg', "/\u2028.jpg")


def test_rows_come_back_whatever_the_name(path, settings, make_row):
    with ScanLedger(path, settings) as ledger:
        ledger.append(make_row(name) for name in ODD)
    with ScanLedger(path, settings) as ledger:
        assert [row["path"] for row in ledger.rows()] == list(ODD)
        assert all(ledger.finished(Candidate(name, 1, 5)) for name in ODD)
    assert path.read_bytes().count(b"\n") == len(ODD)


def test_the_last_row_of_a_path_counts(path, settings, make_row):
    with ScanLedger(path, settings) as ledger:
        ledger.append([make_row("/a"), make_row("/b"), make_row("/a", 2)])
        assert [(row["path"], row["size"]) for row in ledger.rows()] == [("/b", 1), ("/a", 2)]
    with ScanLedger(path, settings) as ledger:
        assert [(row["path"], row["size"]) for row in ledger.rows()] == [("/b", 1), ("/a", 2)]
        assert ledger.finished(Candidate("/a", 1, 5)) is None
        assert ledger.finished(Candidate("/a", 2, 5)) is not None
        assert ledger.finished(Candidate("/c", 1, 5)) is None


def test_a_line_cut_at_any_byte_is_repaired(path, settings, make_row):
    with ScanLedger(path, settings) as ledger:
        ledger.append([make_row("/a"), make_row("/b")])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in sorted({*range(0, len(whole), 41), 1, first - 2, first - 1, first, first + 1, len(whole) - 1}):
        path.write_bytes(whole[:end])
        with ScanLedger(path, settings) as ledger:
            assert (ledger.finished(Candidate("/a", 1, 5)) is not None) == (end >= first)
            assert ledger.finished(Candidate("/b", 1, 5)) is None
            ledger.append([make_row("/b")])
        assert [row["path"] for row in read_rows(path)] == (["/a", "/b"] if end >= first else ["/b"])


def test_foreign_files_are_refused_and_left_alone(path, settings, make_row):
    for content in (b"my diary", b"{}\n", b'{"path": 3}\n', b'{"path": "/a"}\nx\n', b'{"path": "/a", "budget": 1}\n'):
        path.write_bytes(content)
        with pytest.raises(ScanError, match=r"rows\.jsonl"), ScanLedger(path, settings):
            pass
        assert path.read_bytes() == content


def test_a_damaged_line_in_the_middle_is_named(path, settings, make_row):
    with ScanLedger(path, settings) as ledger:
        ledger.append([make_row("/a"), make_row("/b")])
    path.write_bytes(path.read_bytes().replace(b'"/b"', b'"/b'))
    with pytest.raises(ScanError, match="line 2 of"), ScanLedger(path, settings):
        pass


def test_one_writer_at_a_time(path, settings):
    with ScanLedger(path, settings):
        tried = (
            "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)",
            str(path),
        )
        assert subprocess.run([sys.executable, "-c", *tried], capture_output=True, check=False).returncode == 1
        with pytest.raises(ScanError, match="being written by another scan"), ScanLedger(path, settings):
            pass
    with ScanLedger(path, settings):
        pass


def test_rows_of_other_settings_do_not_count(path, settings, make_row):
    with ScanLedger(path, settings) as ledger:
        ledger.append([make_row("/a")])
    for other in (
        replace(settings, max_fpr=0.01),
        replace(settings, model=replace(settings.model, sha256="0")),
        replace(settings, sha256=True),
    ):
        with ScanLedger(path, other) as ledger:
            assert ledger.finished(Candidate("/a", 1, 5)) is None
            assert ledger.index.unfit() == 1
    with ScanLedger(path, replace(settings, every_s=9)) as ledger:
        assert ledger.finished(Candidate("/a", 1, 5)) is not None


def test_many_rows_are_given_in_order(path, settings, make_row):
    with ScanLedger(path, settings) as ledger:
        row = make_row("/x")
        ledger.append(row | {"path": f"/{number}"} for number in range(10_050))
        assert [row["path"] for row in ledger.rows()] == [f"/{number}" for number in range(10_050)]


def test_a_full_disk_is_one_sentence_and_the_next_scan_goes_on(path, settings, make_row, monkeypatch):
    real = os.write
    with ScanLedger(path, settings) as ledger:
        ledger.append([make_row("/a")])
        monkeypatch.setattr(os, "write", lambda file, line: real(file, line[:20]))
        with pytest.raises(ScanError, match="disk is full"):
            ledger.append([make_row("/b")])
        monkeypatch.undo()
    with ScanLedger(path, settings) as ledger:
        assert [row["path"] for row in ledger.rows()] == ["/a"]


def test_a_full_disk_of_temporary_files_is_one_sentence(path, settings, make_row, monkeypatch):
    """Of so many files the index no longer fits into what SQLite caches."""
    monkeypatch.setenv("TMPDIR", "/scratch")
    with ScanLedger(path, settings) as ledger:
        ledger.append([make_row("a.jpg")])
        with no_room(), pytest.raises(ScanError, match=r"room in /scratch \(.*\); free some, or set TMPDIR"):
            for number in range(40_000):
                ledger.index.claim(f"{number:0400}")
    with ScanLedger(path, settings) as ledger:
        assert [row["path"] for row in ledger.rows()] == ["a.jpg"]
