"""The append-only file: whole lines only, whatever kills its writer; one writer; the last row of a key counts."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from facecheck.errors import LedgerBusyError, LedgerError
from facecheck.ledger import KeyedLedger, Ledger, encoded, whole_lines
from tests.forkserver import forking


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "rows.jsonl"


def numbers(path: Path) -> list[int]:
    return [line.parsed()["n"] for line in whole_lines(path)]


def test_rows_come_back_with_their_places(path):
    rows = [{"n": 0, "name": "/\udcff\n\u2028.jpg"}, {"n": 1, "name": "\u00fc"}]
    with Ledger(path) as ledger:
        offsets = [ledger.append(row) for row in rows]
    content = path.read_bytes()
    assert [line.parsed() for line in whole_lines(path)] == rows
    assert [(line.number, line.offset) for line in whole_lines(path)] == list(enumerate(offsets, 1))
    assert [content[offset:].split(b"\n")[0] + b"\n" for offset in offsets] == [encoded(row) for row in rows]


@pytest.mark.parametrize("tail", [3, 1 << 16])
def test_a_line_cut_at_any_byte_is_passed_over_and_cut_off(path, tail, monkeypatch):
    monkeypatch.setattr("facecheck.ledger.TAIL_BYTES", tail)
    with Ledger(path) as ledger:
        ledger.append({"n": 0})
        end = ledger.append({"n": 1})
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = [0] if cut >= end else []
        assert numbers(path) == kept
        with Ledger(path) as ledger:
            assert path.read_bytes() == (whole[:end] if kept else b"")
            ledger.append({"n": 2})
        assert numbers(path) == [*kept, 2]


def test_files_of_another_kind_are_refused_and_left_alone(path, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    path.parent.mkdir()
    for content, beginning in ((b"my diary", b"{"), (b'{"a": 1}\n{"b', b'{"key": ')):
        path.write_bytes(content)
        with pytest.raises(LedgerError, match="is not a file of JSON lines"):
            Ledger(path, beginning).open()
        assert path.read_bytes() == content
    with pytest.raises(LedgerError, match="cannot be opened for writing"):
        Ledger(tmp_path).open()
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_writer_at_a_time_while_others_read(path):
    with Ledger(path) as ledger:
        ledger.append({"n": 1})
        with pytest.raises(LedgerBusyError, match="another process"):
            Ledger(path).open()
        assert numbers(path) == [1]
    Ledger(path).open().close()


def test_after_a_full_disk_the_same_writer_may_go_on(path, monkeypatch):
    real = os.write
    with Ledger(path) as ledger:
        ledger.append({"n": 1})
        monkeypatch.setattr(os, "write", lambda file, line: real(file, line[:3]))
        with pytest.raises(LedgerError, match="disk is full"):
            ledger.append({"n": 2})
        monkeypatch.undo()
        ledger.append({"n": 3})
    assert numbers(path) == [1, 3]


def test_what_is_no_object_is_named_by_its_line(path):
    with Ledger(path) as ledger:
        ledger.append({"key": "a"})
    for line in (b"3\n", b"{\n", b"\xff\n", b"{}\n", b'{"key": ["a"]}\n'):
        damaged = encoded({"key": "a"}) + line
        path.write_bytes(damaged)
        with pytest.raises(LedgerError, match="line 2 of"):
            KeyedLedger(path).open()
        assert path.read_bytes() == damaged


def test_the_last_row_of_a_key_counts(path):
    with KeyedLedger(path) as ledger:
        ledger.add("a", {"n": 1})
        ledger.add("b", {"n": 2})
        ledger.add("a", {"n": 3})
    with KeyedLedger(path) as ledger:
        assert {key: entry["n"] for key, entry in ledger.entries.items()} == {"a": 3, "b": 2}
        assert ledger.missing(["c", "a", "d", "c"]) == ["c", "d"]


def write_for_ever(path: str) -> None:
    with Ledger(Path(path)) as ledger:
        number = len(numbers(Path(path)))
        while True:
            ledger.append({"n": number, "text": "x" * 5000})
            number += 1


def test_killed_at_any_moment_no_row_is_lost_or_doubled(path):
    processes, size = forking("facecheck.ledger", "pytest"), 0
    for _ in range(8):
        process = processes.Process(target=write_for_ever, args=(str(path),))
        process.start()
        deadline = time.monotonic() + 30
        while not path.exists() or path.stat().st_size <= size:
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        size = path.stat().st_size
    found = numbers(path)
    assert found == list(range(len(found))) and len(found) >= 8
    assert all(json.loads(line) for line in path.read_bytes().split(b"\n")[: len(found)])


@pytest.mark.parametrize("harm", ["removed", "replaced"])
def test_a_file_that_loses_its_name_is_noticed(path, harm):
    with Ledger(path) as ledger:
        ledger.append({"number": 1})
        path.unlink()
        if harm == "replaced":
            path.write_bytes(b"{}\n")
        with pytest.raises(LedgerError, match=f"was {harm} while"):
            ledger.append({"number": 2})


def test_no_row_holds_what_is_no_json(path):
    with Ledger(path) as ledger, pytest.raises(ValueError, match="JSON"):
        ledger.append({"p_fake": float("nan")})
    assert path.read_bytes() == b""
