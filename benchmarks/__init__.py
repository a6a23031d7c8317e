"""Side-by-side timings, one command each; no part of the installed package."""

import re
import runpy
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def run_watched() -> None:
    """`python -c ... OUT MODULE ARGUMENTS...`: run a module, and write the most memory that the process held.

    Linux only. The kernel's account of a child (`getrusage`) would not do: it begins with the memory of the parent. For
    the same reason this file loads nothing else.
    """
    out, *sys.argv = sys.argv[1:]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    finally:
        Path(out).write_text(str(_peak_bytes()))


def _peak_bytes() -> int:
    """The most resident memory of this process so far ("VmHWM")."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
