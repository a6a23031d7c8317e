"""Clips among the files of a scan."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facecheck.scan.rows import Candidate, Judge
from tests.clips import FPS, frame, write_clip
from tests.facecheck.scan.conftest import read_rows

SECONDS = 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory, portrait) -> Path:
    """Four seconds: a face that moves to the right on grey; in the third second there is none."""
    path = tmp_path_factory.mktemp("clip") / "clip %02d.mp4"
    shots = [() if number // FPS == 2 else ((np.asarray(portrait), number),) for number in range(FPS * SECONDS)]
    return write_clip(path, [frame(*shown) for shown in shots])


def test_a_clip_gives_one_answer_for_each_person(clip, checker, settings):
    judge = Judge(replace(settings, every_s=0.5, model=replace(settings.model, sha256="")), lambda: checker)
    (row,) = judge.judged([Candidate.at(str(clip))])
    assert (row["kind"], row["error"]) == ("clip", None)
    assert (row["clip"]["samples"], row["clip"]["people"], row["clip"]["complete"]) == (8, 1, True)
    (track,), (face,) = row["clip"]["tracks"], row["faces"]
    assert (track["from_s"], track["to_s"], track["samples"]) == (0, 3.5, 6)
    assert track["p_fake_low"] <= row["p_fake"] == face["p_fake"] <= track["p_fake_high"]


def test_broken_clips_are_rows(scan, clip, tmp_path):
    whole = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:60])
    (tmp_path / "none.mp4").write_bytes(b"")
    (tmp_path / "list.mp4").write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    assert scan(tmp_path, "--glob", "*.mp4", "--out", tmp_path / "rows.jsonl").exit_code == 1
    rows = {Path(row["path"]).name: row for row in read_rows(tmp_path / "rows.jsonl")}
    assert len(rows) == 3
    assert all(row["error"] and row["verdict"] is None for row in rows.values())
    assert "video" in rows["cut.mp4"]["error"]


def test_the_command_judges_clips_between_pictures(scan, folder, clip, tmp_path):
    (folder / "b.mp4").write_bytes(clip.read_bytes())
    out = tmp_path / "rows.parquet"
    scan(folder, "--out", out, "--every", 2, "--summary", tmp_path / "report")
    rows = read_rows(tmp_path / "rows.parquet.jsonl")
    assert [Path(row["path"]).name for row in rows] == ["a.jpg", "b.mp4", "notes.jpg", "wall.png", "b.png"]
    assert (rows[1]["kind"], rows[1]["clip"]["every_s"], rows[1]["clip"]["samples"]) == ("clip", 2.0, 2)
    assert "1 clips" in (tmp_path / "report" / "summary.html").read_text()
    refused = scan(folder, "--out", out, "--every", 1)
    assert "1 row(s)" in refused.stderr
    assert "(4 known, 1 new)" in scan(folder, "--out", out, "--every", 1, "--rescore", "others").stderr


def test_a_file_with_a_pattern_for_a_name_is_judged_itself(scan, folder, clip, tmp_path):
    (folder / "q%d.jpg").write_bytes(clip.read_bytes())
    for number in range(3):
        (folder / f"q{number}.jpg").write_bytes((folder / "a.jpg").read_bytes())
    scan(folder, "--out", tmp_path / "rows.jsonl")
    kinds = {Path(row["path"]).name: row["kind"] for row in read_rows(tmp_path / "rows.jsonl")}
    assert [kinds[name] for name in ("q%d.jpg", "q0.jpg", "q2.jpg")] == ["clip", "picture", "picture"]
