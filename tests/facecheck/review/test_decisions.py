"""Decisions are on the disk before anybody is told, and nobody overwrites another's."""

import csv
import io
import json
import subprocess
import sys

import pytest

from facecheck.errors import ReviewConflictError, ScanError
from facecheck.review.decisions import Decisions, Judgement, csv_of, labels_of
from tests.facecheck.scan.conftest import row
from tests.full_disk import no_room
from training.faces.layouts import recognise

WRITER = """
import sys
from pathlib import Path
from facecheck.review.decisions import Decisions
decisions = Decisions(Path(sys.argv[1]))
for number in range(40):
    file = {"path": f"/{sys.argv[2]}/{number}", "size": 1, "mtime_ns": 1}
    decisions.decide([file], "generated", sys.argv[2], decisions.count)
"""


@pytest.fixture
def decisions(tmp_path) -> Decisions:
    return Decisions(tmp_path / "scan.jsonl.decisions.jsonl")


def test_what_is_decided_is_read_again(decisions):
    files = [row("/a", 0.9), row("/odd\udcff", 0.1)]
    (first,) = decisions.decide(files[:1], Judgement.GENERATED, "Ana", 0)
    decisions.decide(files, Judgement.UNSURE, "Ana", first.number)
    decisions.decide(files[1:], None, "Ana", 3)
    again = Decisions(decisions.path)
    assert len(again.refresh()) == again.count == 4
    assert again.latest["/a"].judgement == "unsure"
    assert again.latest["/a"].holds_for(files[0])
    assert not again.latest["/odd\udcff"].holds_for(files[1])  # Taken back.
    assert not again.latest["/a"].holds_for(files[0] | {"mtime_ns": 5})  # Another picture by now.
    assert again.refresh() == []


def test_somebody_elses_decision_is_not_overwritten_unseen(decisions):
    mine, other = decisions, Decisions(decisions.path)
    other.decide([row("/a")], Judgement.GENUINE, "Ben", 0)
    before = decisions.path.read_bytes()
    with pytest.raises(ReviewConflictError, match="Ben has just marked it genuine"):
        mine.decide([row("/b"), row("/a")], Judgement.GENERATED, "Ana", 0)
    assert decisions.path.read_bytes() == before
    assert mine.latest["/a"].by == "Ben"  # Now it is known, and may be decided otherwise.
    assert mine.decide([row("/a")], Judgement.GENERATED, "Ana", mine.count)[-1].number == 2
    assert [one.judgement for one in other.refresh()] == ["generated"]


def test_two_programs_at_once_lose_nothing(decisions):
    called = [sys.executable, "-c", WRITER, str(decisions.path)]
    for process in [subprocess.Popen([*called, name]) for name in ("Ana", "Ben")]:
        assert process.wait(60) == 0
    assert len(decisions.refresh()) == 80
    assert sorted(one.number for one in decisions.latest.values()) == list(range(1, 81))


def test_half_a_line_is_cut_off_and_another_file_is_left_alone(decisions, tmp_path):
    decisions.decide([row("/a")], Judgement.GENUINE, "Ana", 0)
    whole = decisions.path.read_bytes()
    decisions.path.write_bytes(whole + whole[:30])
    assert Decisions(decisions.path).decide([row("/b")], Judgement.GENUINE, "Ana", 1)[-1].number == 2
    assert len(decisions.path.read_bytes().splitlines()) == 2
    (tmp_path / "notes.txt").write_text("my notes\n")
    with pytest.raises(ScanError, match="not a list of decisions"):
        Decisions(tmp_path / "notes.txt").decide([row("/a")], Judgement.UNSURE, "Ana", 0)
    decisions.path.write_text('{"reviewed": "/a"}\n')
    with pytest.raises(ScanError, match="no decision"):
        Decisions(decisions.path).refresh()


@pytest.mark.parametrize("room", [0, 1, 150])
def test_on_a_full_disk_a_family_is_decided_whole_or_not_at_all(decisions, room):
    """No room for anything, for a byte of it, or for the first of two files."""
    files = [row("/a", 0.9), row("/a copy", 0.9)]
    decisions.decide([row("/b")], Judgement.GENUINE, "Ana", 0)
    before = decisions.path.read_bytes()
    with no_room(len(before) + room), pytest.raises(ScanError, match=r"decisions\.jsonl cannot be written \("):
        decisions.decide(files, Judgement.GENERATED, "Ana", 1)
    assert decisions.path.read_bytes() == before and decisions.latest.keys() == {"/b"}
    decisions.decide(files, Judgement.GENERATED, "Ana", 1)
    again = Decisions(decisions.path)
    assert len(again.refresh()) == 3 and again.latest["/a copy"].number == 3


def test_the_csv_has_every_decision_and_no_formulas(decisions):
    files = [row("=cmd", 0.9), row("/b", error="bad"), row("/c", 0.1)]
    decisions.decide(files[:2], Judgement.GENERATED, "@na", 0)
    decisions.refresh()
    found = list(csv.DictReader(io.StringIO(csv_of(files, decisions.latest).decode())))
    assert [(one["path"], one["decision"], one["by"]) for one in found] == [
        ("'=cmd", "generated", "'@na"),
        ("/b", "generated", "'@na"),
    ]
    assert (found[0]["p_fake"], found[1]["error"]) == ("0.9000", "bad")


def test_training_prepare_reads_the_labels(decisions, tmp_path, grace_path):
    files = []
    for name in ("a/1.jpg", "a/2.jpg", "3.jpg"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(grace_path.read_bytes())
        files.append(row(str(tmp_path / name), 0.9))
    for number, (file, judgement) in enumerate(zip(files, Judgement, strict=True)):
        decisions.decide([file], judgement, "Ana", number)
    data, count = labels_of(files, decisions.latest, tmp_path)
    (tmp_path / "manifest.csv").write_bytes(data)
    assert count == 2
    photos = recognise(tmp_path / "manifest.csv").photos
    assert {(str(photo.path), photo.label) for photo in photos} == {
        (files[0]["path"], "fake"),
        (files[1]["path"], "real"),
    }
    with pytest.raises(ScanError, match="folder above"):
        labels_of(files, decisions.latest, tmp_path / "b")


def test_rows_of_the_ledger_are_plain_json(decisions):
    decisions.decide([row("/a")], Judgement.UNSURE, "Ana", 0)
    line = json.loads(decisions.path.read_text())
    assert (line["reviewed"], line["judgement"], line["by"], line["number"]) == ("/a", "unsure", "Ana", 1)
