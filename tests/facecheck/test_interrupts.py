"""Ctrl-C, from the first import to the last thread: 130, and no traceback."""

import os
import signal
import subprocess
import sys

import pytest

from facecheck.interrupts import not_for_children

# A shell's background jobs, and their children, ignore SIGINT unless they say otherwise.
HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
CALLED = "from facecheck.interrupts import run; run('tried', 'tried')"
PROGRAM = """
import atexit, sys, time
from facecheck.interrupts import INTERRUPTED, raised

def wait():
    print("now", flush=True)
    time.sleep(60)

class Callback:
    def __del__(self):
        wait()

def work(stage):
    with raised():
        if stage == "callback":
            callback = Callback()
            del callback
        if stage == "work":
            wait()

if sys.argv[1] == "import":
    wait()

def main(prog_name):
    try:
        work(sys.argv[1])
    except KeyboardInterrupt:
        print(prog_name, "puts away", flush=True)
        sys.exit(INTERRUPTED)
    if sys.argv[1] == "end":
        atexit.register(wait)
"""


def started(folder, stage: str, before: str = HEARD) -> subprocess.Popen[str]:
    (folder / "tried.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-c", f"{before}; {CALLED}", stage], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )  # fmt: skip
    assert process.stdout.readline() == "now\n"
    return process


@pytest.mark.parametrize(
    ("stage", "out", "told"),
    [(stage, "", "\nStopped.\n") for stage in ("import", "callback", "end")],
)
def test_at_every_stage_it_ends_with_130(tmp_path, stage, out, told):
    process = started(tmp_path, stage)
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(timeout=30), process.returncode) == (out, told, 130)


def test_what_was_begun_is_put_away(tmp_path):
    process = started(tmp_path, "work")
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(timeout=30), process.returncode) == ("tried puts away\n", "", 130)


def test_where_it_is_ignored_it_stays_so(tmp_path):
    process = started(tmp_path, "work", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.kill()
    process.communicate()


def test_children_do_not_hear_it():
    asks = [sys.executable, "-c", "import signal; print(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"]
    with not_for_children():
        inside = subprocess.run(asks, capture_output=True, text=True, check=True).stdout
    outside = subprocess.run(asks, capture_output=True, text=True, check=True).stdout
    assert (inside, outside) == ("1\n", "0\n")
