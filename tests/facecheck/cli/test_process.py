"""The command as a process of its own: in a terminal, in a pipe, with quick help, on a folder of junk."""

import io
import json
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecheck import __version__
from facecheck.cli.predict import LONG_LIST
from tests.facecheck.test_image import png_header
from tests.speed import reference_seconds_of_command

MEMORY_LIMIT = int(1.5 * 2**30)


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    called = [sys.executable, "-m", "facecheck", *map(str, arguments)]
    return subprocess.run(called, capture_output=True, check=False, **options)


def test_python_dash_m_and_version():
    assert command("--version").stdout.decode().strip().endswith(__version__)


def test_help_is_quick_because_it_loads_no_torch():
    code = "import sys; from facecheck.cli import main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_closed_pipe_is_no_traceback(folder):
    script = f"{sys.executable} -m facecheck predict --json {folder} {folder} | head -n 1"
    result = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert json.loads(result.stdout)["source"].endswith("a.jpg")
    assert b"Traceback" not in result.stderr


def test_a_terminal_gets_a_table_and_a_progress_bar(folder):
    for index in range(LONG_LIST):
        (folder / f"junk{index}.jpg").write_bytes(b"junk")
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "facecheck", "predict", str(folder)], stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            chunk = os.read(reader, 65536)
        except OSError:  # Linux reports the end of a terminal so.
            break
        if not chunk:
            break
        shown += chunk
    assert process.wait() == 1
    text = shown.decode()
    assert "100%" in text
    rows = [line for line in text.splitlines() if "face(s)" in line]
    assert len(rows) == LONG_LIST + 2
    assert len({row.index("face(s)") for row in rows if "unreadable" in row}) == 1


def broken_files(folder: Path, grace_path: Path) -> None:
    """200 files that no one would send on purpose, and many that someone would."""
    rng = np.random.default_rng(0)
    picture = Image.open(grace_path).convert("RGB").resize((160, 188))
    whole = {}
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000"):
        stream = io.BytesIO()
        picture.save(stream, kind)
        whole[kind] = stream.getvalue()
    for kind, data in whole.items():
        ending = "jp2" if kind == "JPEG2000" else kind.lower()
        for index in range(10):
            (folder / f"cut{index}.{ending}").write_bytes(data[: int(len(data) * index / 10)])
        for index in range(12):
            flipped = bytearray(data)
            for place in rng.integers(0, len(data), 8):
                flipped[place] ^= 1 << rng.integers(8)
            (folder / f"flip{index}.{ending}").write_bytes(flipped)
        (folder / f"{kind}.txt").write_bytes(data)
    for index, size in enumerate(
        [(60_000, 60_000), (13_000, 13_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 5), (30_000, 3_900)]
    ):
        (folder / f"claims{index}.png").write_bytes(png_header(*size))
    with zipfile.ZipFile(folder / "zeros.jpg", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50_000_000))
    (folder / "bomb.jpg").write_bytes((folder / "zeros.jpg").read_bytes())
    Image.new("RGB", (10_000, 7_900)).save(folder / "black.png")
    for index in range(200 - len(list(folder.iterdir()))):
        (folder / f"noise{index}.jpg").write_bytes(rng.bytes(5000))


# The kernel's high-water mark of this process alone: a child's ru_maxrss would include what pytest itself holds.
MEASURED = """
import re, sys
from pathlib import Path
from facecheck.cli import main
try:
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
    print(peak, file=sys.stderr)
"""


@pytest.mark.slow
def test_two_hundred_broken_files_give_one_row_each_in_little_memory(tmp_path, grace_path):
    broken_files(tmp_path, grace_path)
    called = [sys.executable, "-c", MEASURED, "predict", str(tmp_path), "--json"]
    result = subprocess.run(called, capture_output=True, check=False, text=True)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == len(list(tmp_path.iterdir())) == 200
    assert all((row["error"] is None) != (row["verdict"] is None) for row in rows)
    assert sum(row["error"] is not None for row in rows) > 80
    assert "Traceback" not in result.stderr
    assert result.returncode == 1
    assert int(result.stderr.split()[-1]) * 1024 < MEMORY_LIMIT
    black = next(row for row in rows if row["source"].endswith("black.png"))
    assert black["size"] == [10_000, 7_900]


@pytest.mark.parametrize("words", ["", "predict", "explain", "scan", "review", "model info"])
def test_help_is_quick(words):
    spent, told = reference_seconds_of_command(["-m", "facecheck", *words.split(), "--help"])
    assert told.startswith("Usage:")
    assert spent < 0.7
