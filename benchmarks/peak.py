"""Run a module, and write the most memory that the process held: `python -m benchmarks.peak OUT MODULE ARGUMENTS...`.

The kernel's account of a child (`getrusage`) would not do: it begins with the memory of the parent.
"""

import re
import runpy
import sys
from pathlib import Path

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
