"""What a scan shows while it works, and Ctrl-C in the middle of it."""

import json
import signal
import subprocess
import sys
import time

import pytest

from facecheck.cli import options
from facecheck.scan import scanner
from facecheck.scan.inputs import Inputs
from facecheck.scan.ledger import Known
from facecheck.scan.rows import Candidate, Judge
from tests.facecheck.scan.conftest import read_rows


def test_new_files_do_not_wait_for_the_end_of_many_known_ones():
    new = Candidate("/a/new.jpg", 10, 1)
    known = [Known(Candidate(f"/b/{number}.jpg", 10, 1), 0, True, "real") for number in range(2000)]
    made = list(scanner.groups([*known[:5], new, *known]))
    assert [item for group in made for item in group] == [*known[:5], new, *known]
    assert [len(group) for group in made[:6]] == [1, 1, 1, 1, 1, scanner.GROUP_FILES]
    assert {len(group) for group in made[6:]} == {1}


def test_a_terminal_sees_rate_and_time_left(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    inputs = Inputs([str(folder)])
    count = sum(1 for _ in inputs)

    def outcomes():
        for number in range(count):
            while shown.total != count:  # It is counted meanwhile.
                time.sleep(0.01)
            yield scanner.Outcome(str(number), "real")

    shown = options.shown(outcomes(), inputs, options.Tally())
    assert len(list(shown)) == count
    told = capsys.readouterr().err
    assert f"{count}/{count} [" in told
    assert "files/s" in told
    assert "<" in told  # Time gone < time left.


def test_ctrl_c_says_how_to_go_on(scan, folder, out, monkeypatch):
    monkeypatch.setattr(scanner, "WORKER_PICTURES", 1)
    real, calls = Judge.rows, []

    def interrupted(self, reads):
        if calls.append(1) or len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, reads)

    monkeypatch.setattr(Judge, "rows", interrupted)
    stopped = scan(folder, "--out", out, "--workers", 1)
    assert stopped.exit_code == 130
    assert "goes on from here" in stopped.stderr
    assert len(read_rows(out)) == 2
    assert "(2 known, 2 new)" in scan(folder, "--out", out).stderr


@pytest.mark.parametrize("junk", [0, 40])
def test_a_real_ctrl_c(tmp_path, out, junk):
    """While it waits for a list that does not end: before the first file, and with threads at work."""
    # A shell's background jobs, and their children, ignore SIGINT unless they say otherwise.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}; from facecheck.cli import main; main()"
    called = [sys.executable, "-c", code, "scan", "--files-from", "-", "--out", str(out)]
    process = subprocess.Popen(called, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.writelines(f"{tmp_path}/{number}.jpg\n" for number in range(junk))
    process.stdin.flush()
    written = junk // scanner.WORKER_PICTURES * scanner.WORKER_PICTURES
    while not out.exists() or len(out.read_bytes().splitlines()) < written:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    with process.stdin, process.stderr:
        told = process.stderr.read()
    assert process.wait() == 130
    assert "Traceback" not in told
    assert "goes on from here" in told
    assert len(read_rows(out)) == written


def test_progress_without_a_terminal(folder, monkeypatch, capsys):
    monkeypatch.setattr(options, "REPORT_EVERY_S", 0.05)
    inputs, tally = Inputs([str(folder)]), options.Tally()

    def outcomes():
        for number in range(4):
            time.sleep(0.1)
            yield scanner.Outcome(str(number), "real" if number else None)

    for outcome in options.shown(outcomes(), inputs, tally):
        tally.add(outcome)
    assert " of 4 files, " in capsys.readouterr().err
    for outcome in options.shown(outcomes(), inputs, options.Tally(), log_json=True):
        assert outcome
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1].keys() == {"done", "total", "known", "files_per_s", "seconds_left", "errors"}
    assert lines[-1]["total"] == 4
