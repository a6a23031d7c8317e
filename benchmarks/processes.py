"""Commands in processes of their own: how long they take, and how much memory. Linux only.

`python -m benchmarks.processes OUT MODULE ARGUMENTS...` runs a module and writes the most memory that the process held.
The kernel's account of a child (`getrusage`) would not do: it begins with the memory of the parent.
"""

import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def first_line_s(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds from the start of `python ARGUMENTS...` to its first line of output.

    Raises:
        RuntimeError: it failed, or said nothing.
    """
    command = [sys.executable, *arguments]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken = time.perf_counter() - started
        process.stdout.read()
    if process.returncode or not line:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return taken


def seconds_and_peak(module: str, arguments: Sequence[str]) -> tuple[float, int]:
    """Wall-clock seconds of `python -m MODULE ARGUMENTS...`, and the most memory that it held, bytes.

    Raises:
        RuntimeError: it failed; with what it wrote to its standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        peak = Path(folder) / "peak"
        command = [sys.executable, "-m", "benchmarks.processes", str(peak), module, *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{module} {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return taken, int(peak.read_text())


STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most resident memory of this process so far ("VmHWM")."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    out, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(out).write_text(str(peak_bytes()))
