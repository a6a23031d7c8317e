"""Files appear whole or not at all, and errors name what was meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facecheck.files import partial_of, sha256_of, write_atomically, write_together
from facecheck.sanitising import open_file


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left_by(target: Path, process: int) -> Path:
    with partial_of(target) as mine:
        return mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{process}."))


def test_what_a_killed_process_left_goes_and_what_a_running_one_writes_stays(tmp_path):
    target = tmp_path / "rows[1].parquet"
    dead, alive, other = (
        left_by(target, dead_process()),
        left_by(target, os.getppid()),
        tmp_path / ".rows[1].parquet.notes",
    )
    for path in (dead, alive, other):
        path.write_bytes(b"half")
    with partial_of(target) as partial:
        partial.write_bytes(b"whole")
        partial.replace(target)
    assert sorted(tmp_path.iterdir()) == sorted([alive, other, target])


def test_of_files_that_belong_together_none_is_replaced_where_one_cannot_be_written(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "missing" / "b.bin"
    first.write_bytes(b"old")
    with pytest.raises(OSError, match=r"missing/b\.bin") as caught:
        write_together({first: b"new", second: b"new"})
    assert first.read_bytes() == b"old" and list(tmp_path.iterdir()) == [first]
    assert caught.value.filename == str(second)


def test_a_full_disk_names_the_file_that_was_meant(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "summary.html", b"x")
    assert caught.value.filename == str(tmp_path / "summary.html") and ".partial" not in str(caught.value)


def test_no_file_that_became_a_pipe_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for opens in (open_file, sha256_of):
        for path in (tmp_path / "pipe.jpg", Path("/dev/null")):
            with pytest.raises(OSError, match="not a regular file"):
                opens(path)
    (tmp_path / "file").write_bytes(b"ab")
    with open_file(tmp_path / "file") as stream:
        assert stream.read() == b"ab"
