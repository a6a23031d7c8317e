"""`facecheck scan` as people run it: again, after changes, on junk, with odd names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from facecheck import batching
from facecheck.cli import scan as command
from facecheck.result import Face
from facecheck.scan import scanner
from facecheck.scan.rows import Judge
from tests.facecheck.scan.conftest import read_rows


def test_one_row_for_each_file_as_predict_answers(scan, folder, out, checker):
    result = scan(folder, "--out", out, "--sha256")
    assert result.exit_code == 1
    assert result.stderr.startswith("4 files: ")
    rows = read_rows(out)
    inside = ["a.jpg", "notes.jpg", "wall.png", "more/b.png"]
    assert [row["path"] for row in rows] == [str(folder / name) for name in inside]
    for row in rows:
        path = Path(row["path"])
        assert (row["size"], row["mtime_ns"]) == (path.stat().st_size, path.stat().st_mtime_ns)
        told = subprocess.run(["sha256sum", path], capture_output=True, check=True, text=True)
        assert row["sha256"] == told.stdout.split()[0]
    alone = checker.predict(folder / "a.jpg")
    assert rows[0]["verdict"] == alone.verdict
    assert rows[0]["p_fake"] == pytest.approx(alone.p_fake, abs=1e-5)
    assert Face.from_dict(rows[0]["faces"][0]).box == pytest.approx(alone.faces[0].box, abs=0.01)
    assert (rows[0]["width"], rows[0]["height"]) == (128, 128)
    assert "not a picture" in rows[1]["error"]
    assert rows[1]["verdict"] is None
    assert rows[2]["verdict"] == "no_face"
    assert all(row["model"]["sha256"] == rows[0]["model"]["sha256"] != "" for row in rows)


def test_names_of_all_kinds(scan, tmp_path, out, portrait):
    names = [
        "two\nlines.png",
        "\u00fcml\u00e4ut \u4e2d.png",
        "<img src=x onerror=alert(1)>.png",
        "odd\udcff.png",
        "%d.png",
    ]
    (tmp_path / "in").mkdir()
    for name in names:
        portrait.resize((40, 40)).save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(tmp_path / "in" / name)
    listing = b"\0".join(os.fsencode(tmp_path / "in" / name) for name in names) + b"\0"
    assert scan("--files-from", "-", "--out", out, stdin=listing).exit_code == 0
    assert [row["path"] for row in read_rows(out)] == [str(tmp_path / "in" / name) for name in names]
    assert "(5 known, 0 new)" in scan(tmp_path / "in", "--out", out).stderr


def test_exit_codes(scan, folder, out):
    assert scan(folder / "wall.png", "--out", out).exit_code == 0
    assert scan(folder / "wall.png", "--out", out, "--fail-on", "no_face").exit_code == 3
    assert scan(folder / "wall.png", "--out", out, "--fail-on", "fake").exit_code == 0
    assert scan("--out", out).exit_code == 2
    assert scan("--files-from", folder / "nothing", "--out", out).exit_code == 1
    foreign = scan(folder, "--out", folder / "a.jpg")
    assert foreign.exit_code == 1
    assert "not the output of a scan" in foreign.stderr
    with Image.open(folder / "a.jpg") as untouched:
        untouched.load()
    unknown = scan(folder, "--out", out, "--model", "nonsense")
    assert "no model at 'nonsense'" in unknown.stderr


def test_a_picture_that_trips_a_network_is_a_row_and_harms_no_other(scan, folder, out, monkeypatch, checker):
    real = type(checker).judge_batch

    def trips(self, batch):
        if any(item.pixels is not None and item.pixels.shape == (60, 80, 3) for item in batch):
            raise RuntimeError("no kernel")
        return real(self, batch)

    monkeypatch.setattr(type(checker), "judge_batch", trips)
    scan(folder, "--out", out)
    errors = {Path(row["path"]).name: row["error"] for row in read_rows(out)}
    assert "could not be judged (RuntimeError('no kernel'))" in errors["wall.png"]
    assert errors["a.jpg"] is errors["b.png"] is None


def test_a_file_that_vanishes_is_counted_and_has_no_row(scan, folder, out, monkeypatch):
    plain = batching.decode

    def decode(source, **options):
        if Path(source).name == "b.png":
            Path(source).unlink()
        return plain(source, **options)

    monkeypatch.setattr(batching, "decode", decode)
    result = scan(folder, "--out", out)
    assert result.exit_code == 1 and "1 vanished before they were read" in result.output
    assert "b.png" not in out.read_text()


def test_an_output_that_is_removed_meanwhile_is_no_success(scan, folder, out, monkeypatch):
    plain = batching.decode
    monkeypatch.setattr(
        batching, "decode", lambda *given, **named: (out.unlink(missing_ok=True), plain(*given, **named))[1]
    )
    result = scan(folder, "--out", out)
    assert result.exit_code == 1 and f"{out} was removed" in result.output


def test_memory_does_not_hold_pictures_or_rows(scan, tmp_path, out, monkeypatch):
    alive: list[int] = []
    real = Judge.rows

    def counted(self, reads):
        alive.append(sum(read.decoded.area for read in reads))
        return real(self, reads)

    monkeypatch.setattr(Judge, "rows", counted)
    monkeypatch.setattr(scanner, "WORKER_PICTURES", 4)
    monkeypatch.setattr(batching, "BATCH_PIXELS", 3 * 40 * 40)
    Image.new("RGB", (40, 40)).save(tmp_path / "0.png")
    for number in range(1, 30):
        (tmp_path / f"{number}.png").hardlink_to(tmp_path / "0.png")
    assert scan(tmp_path, "--glob", "*.png", "--out", out).exit_code == 0
    assert sum(alive) == 30 * 40 * 40
    assert max(alive) == 3 * 40 * 40


def test_help_is_quick_and_has_examples(scan):
    code = (
        "import sys; from facecheck.cli import main; sys.exit(bool({'torch', 'numpy', 'sqlite3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    told = scan("--help").stdout
    assert "facecheck scan photos --out photos.parquet" in told
    assert "--every SECONDS" in told


def test_what_nobody_asked_for_and_is_no_picture_is_left_out(scan, folder, out):
    (folder / "notes.jpg").unlink()
    for name in ("a.xmp", "Thumbs.db", "notes.txt", ".DS_Store"):
        (folder / name).write_text("no picture")
    (folder / "a.jpg").rename(folder / "odd name.bin")  # A wrong ending is no reason to look away.
    result = scan(folder, "--out", out)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "left out 3 files that are no pictures"
    assert [Path(row["path"]).name for row in read_rows(out)] == ["odd name.bin", "wall.png", "b.png"]
    assert scan(folder / "notes.txt", "--out", out).exit_code == 1
    assert "notes.txt" in read_rows(out)[-1]["error"]
    assert scan(folder, "--glob", "*.txt", "--out", out).exit_code == 1


def test_an_empty_folder_a_typo_and_an_address_are_said(scan, folder, out, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert f"no picture in {tmp_path / 'empty'}" in scan(tmp_path / "empty", "--out", out).stderr
    monkeypatch.chdir(tmp_path)
    assert "phots/a.jpg: no such file; did you mean photos/a.jpg?" in scan("phots/a.jpg", "--out", out).stderr
    scan("https://example.com/x.jpg", "--out", out)
    row = read_rows(out)[-1]
    assert row["path"] == "https://example.com/x.jpg"
    assert "downloads nothing" in row["error"]


def test_since(scan, folder, out):
    os.utime(folder / "wall.png", (10**9, 10**9))
    assert "(0 known, 3 new)" in scan(folder, "--since", "7d", "--out", out).stderr
    assert "4 files" in scan(folder, "--since", "2001-01-01", "--out", out).stderr
    assert "0 files" in scan(folder, "--since", "2100-01-01", "--out", out).stderr
    assert scan(folder, "--since", "yesterday", "--out", out).exit_code == 2


def test_a_watched_folder_and_a_hook(scan, folder, tmp_path, monkeypatch, portrait):
    (folder / "notes.jpg").unlink()
    looks = []

    def slept(_: float) -> bool:
        looks.append(len(read_rows(tmp_path / "rows.csv.jsonl")))
        if len(looks) == 1:
            portrait.rotate(8).save(folder / "new.png")
        return len(looks) < 4

    monkeypatch.setattr(command, "_slept", slept)
    hook = tmp_path / "hook.py"
    hook.write_text(
        f"import sys; open({str(tmp_path / 'hooked')!r}, 'a').write(sys.argv[1] + sys.stdin.read() + '\\n')"
    )
    given = [folder, "--watch", "--on-fake", f"{sys.executable} {hook}", "--out", tmp_path / "rows.csv"]
    result = scan(*given)
    assert result.exit_code == 0
    assert looks == [3, 4, 4, 4]
    assert f"{folder / 'new.png'}: " in result.stderr
    rows = read_rows(tmp_path / "rows.csv.jsonl")
    fakes = [row for row in rows if row["verdict"] == "fake"]
    hooked = (tmp_path / "hooked").read_text().splitlines() if fakes else []
    assert [json.loads(line.removeprefix(row["path"])) for line, row in zip(hooked, fakes, strict=True)] == fakes
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 5
    assert scan(folder, "--watch", "--files-from", "-").exit_code == 2


def test_a_hook_that_fails_stops_nothing(tmp_path, capsys):
    class Ledger:
        def row(self, path):
            return {"path": path}

    command._Hook(f"{sys.executable} -c 'raise SystemExit(3)'")(scanner.Outcome("/a", "fake"), Ledger())
    command._Hook("/no/such/command")(scanner.Outcome("/a", "fake"), Ledger())
    command._Hook("/no/such/command")(scanner.Outcome("/a", "real"), None)
    assert capsys.readouterr().err.count("--on-fake: ") == 2
