"""`facecheck scan` with an output that an earlier run has written: known files, changed ones, other settings."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image

from facecheck.error_rates import ChanceOfError
from facecheck.scan.rows import Judge
from facecheck.scan.scanner import Prefetch
from tests.facecheck.scan.conftest import read_rows


def test_a_second_run_decodes_nothing_and_loads_no_model(scan, folder, out, monkeypatch):
    scan(folder, "--out", out)
    before = out.read_bytes()
    monkeypatch.setattr(Judge, "read", lambda *_: pytest.fail("a finished file was read again"))
    monkeypatch.setattr(Prefetch, "__enter__", lambda *_: pytest.fail("threads were started for nothing"))
    again = scan(folder, folder / "a.jpg", "--out", out)
    assert "(4 known, 0 new)" in again.stderr
    assert again.exit_code == 1
    assert out.read_bytes() == before
    assert len(scan.loads) == 1


def test_a_second_run_loads_no_torch(scan, folder, out, weights):
    scan(folder, "--out", out)
    code = (
        "import sys; from facecheck.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'cv2', 'PIL', 'numpy'} & set(sys.modules)"
    )
    called = [sys.executable, "-c", code, "scan", str(folder), "--out", str(out), "--model", str(weights)]
    done = subprocess.run(called, capture_output=True, check=False, text=True)
    assert done.stderr.startswith("4 files: ")
    assert "Traceback" not in done.stderr


def test_a_changed_file_and_a_new_one_are_done_and_no_other(scan, folder, out, portrait):
    scan(folder, "--out", out)
    Image.new("RGB", (60, 60), "black").save(folder / "a.jpg")
    portrait.save(folder / "new.png")
    result = scan(folder, "--out", out)
    assert "(3 known, 2 new)" in result.stderr
    rows = read_rows(out)
    assert [Path(row["path"]).name for row in rows[4:]] == ["a.jpg", "new.png"]
    assert rows[4]["verdict"] == "no_face"
    assert "(5 known, 0 new)" in scan(folder, "--out", out).stderr


def test_a_file_that_appears_where_none_was(scan, tmp_path, out, portrait):
    assert "no such file" in read_rows_after(scan(tmp_path / "later.png", "--out", out), out)[0]["error"]
    portrait.save(tmp_path / "later.png")
    assert read_rows_after(scan(tmp_path / "later.png", "--out", out), out)[1]["error"] is None


def read_rows_after(_: object, out: Path) -> list[dict]:
    return read_rows(out)


def test_rows_for_another_share_of_fakes_are_others(scan, folder, out, settings):
    scan(folder, "--out", out)
    row = next(row for row in map(json.loads, out.read_text().splitlines()) if row.get("faces"))
    assert settings.fits(row)
    assert replace(settings, prevalence=0.01).fits(row)  # The tiny model states no chance.
    row["faces"][0]["expected_error"] = asdict(ChanceOfError(0.1, 0.05, 0.2, 0.5, 30, 7))
    assert settings.fits(row)
    assert not replace(settings, prevalence=0.01).fits(row)
    assert "--prevalence 0.01" in replace(settings, prevalence=0.01).described
    row["faces"][0]["expected_error"] = {"measure": "face_px", "error": 0.1}
    assert not settings.fits(row)


def test_other_settings_are_refused_or_asked_for(scan, folder, out, weights):
    scan(folder, "--out", out)
    text = out.read_text()
    out.write_text(text.replace('"version": "0"', '"version": "older"'))
    refused = scan(folder, "--out", out)
    assert refused.exit_code == 1
    assert "4 row(s)" in refused.stderr
    assert "--rescore others" in refused.stderr
    assert "(0 known, 4 new)" in scan(folder, "--out", out, "--rescore", "others").stderr
    assert "(4 known, 0 new)" in scan(folder, "--out", out).stderr
    assert "(3 known, 1 new)" in scan(folder, "--out", out, "--rescore", "errors").stderr
    assert "(0 known, 4 new)" in scan(folder, "--out", out, "--rescore", "all").stderr


def test_what_it_writes_is_no_input(scan, folder, monkeypatch):
    monkeypatch.chdir(folder)
    scan(".", "--out", "rows.parquet", "--summary", "report")
    assert "(4 known, 0 new)" in scan(".", "--out", "rows.parquet", "--summary", "report").stderr


def test_the_summary_may_stand_beside_the_pictures(scan, folder, out):
    for known in (0, 4):
        assert f"({known} known, {4 - known} new)" in scan(folder, "--out", out, "--summary", folder).stderr
