"""`python -m demo feedback`: from objection to training data."""

import csv
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from demo.cli import main
from facecheck.result import Prediction
from tests.demo.conftest import as_file
from tests.full_disk import SAYS, no_room


@pytest.fixture
def run(store):
    def invoke(*arguments: str, answers: str = "", fails: bool = False) -> str:
        command, *rest = arguments
        result = CliRunner().invoke(main, ["feedback", command, "--store", str(store.folder), *rest], input=answers)
        assert (result.exit_code != 0) == fails, result.output
        return result.output

    return invoke


@pytest.fixture
def three(store, portrait, astronaut):
    other = as_file(Image.fromarray(astronaut), quality=90)
    for data, label, comment in (
        (portrait, "real", "I took it"),
        (other, "fake", "I made it\x1b[2J"),
        (other, "fake", ""),
    ):
        store.add(data, label, comment, Prediction("picture"))


def test_on_a_full_disk_the_export_is_named_and_not_the_store(run, three, store, tmp_path):
    run("review", "1", "--decide", "real")
    out = tmp_path / "out"
    with no_room(1000):
        said = run("export", str(out), fails=True)
    assert said.startswith(f"Error: {out / 'real' / 'objection-000001.jpg'}: {SAYS}")
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_an_empty_store_says_so(run):
    assert "no objections" in run("list")


@pytest.mark.usefixtures("three")
def test_list_shows_what_was_said_without_control_characters(run, store):
    lines = run("list").splitlines()
    assert all(line.endswith(f"file: {case.path}") for line, case in zip(lines, store.all(), strict=True))
    assert len(lines) == 3 and "I took it" in lines[0] and "it was generated" in lines[1] and "\x1b" not in lines[1]
    assert [json.loads(line)["label"] for line in run("list", "--json").splitlines()] == ["real", "fake", "fake"]


@pytest.mark.usefixtures("three")
def test_review_asks_about_each_and_remembers(run, store):
    run("review", answers="r\nd\nq\n")
    assert [(one.id, one.decision) for one in store.all()] == [(1, "real"), (3, "open")]
    run("review", "3", "--decide", "rejected")
    assert store.all()[1].decision == "rejected"
    run("review", "3", "--delete")
    assert "no objection 3" in run("review", "3", "--decide", "real", fails=True)
    assert "need an ID" in run("review", "--delete", fails=True)
    assert "say --decide" in run("review", "1", fails=True)


@pytest.mark.slow
@pytest.mark.usefixtures("three")
def test_the_export_is_data_that_training_prepare_reads(run, store, tmp_path):
    layouts = pytest.importorskip("training.faces.layouts")
    from training.faces.prepare import PrepareConfig, prepare

    run("review", "1", "--decide", "real")
    run("review", "2", "--decide", "fake")
    assert "2 pictures" in run("export", str(tmp_path / "out"))
    found = layouts.recognise(tmp_path / "out")
    assert [(photo.label, photo.source) for photo in found.photos] == [
        ("real", "reality-check"), ("fake", "reality-check"),
    ]  # fmt: skip
    assert len({photo.group for photo in found.photos}) == 2
    prepare([layouts.recognise(tmp_path / "out")], tmp_path / "data", PrepareConfig(workers=0))
    rows = list(csv.DictReader((tmp_path / "data" / "manifest.csv").read_text().splitlines()))
    assert sorted((row["label"], row["source"]) for row in rows) == [
        ("fake", "reality-check"), ("real", "reality-check"),
    ]  # fmt: skip


@pytest.mark.usefixtures("three")
def test_an_export_from_a_store_that_is_not_there_removes_nothing(run, tmp_path):
    run("review", "1", "--decide", "fake")
    run("export", str(tmp_path / "out"))
    before = sorted((tmp_path / "out").glob("*/*"))
    words = ["feedback", "export", str(tmp_path / "out"), "--store", str(tmp_path / "typo")]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1 and "there is no store in" in refused.output
    assert sorted((tmp_path / "out").glob("*/*")) == before != []


@pytest.mark.usefixtures("three")
def test_the_next_export_removes_what_was_deleted_or_decided_anew_and_nothing_else(run, store, tmp_path):
    out = tmp_path / "out"
    for number in (1, 2, 3):
        run("review", str(number), "--decide", "fake")
    run("export", str(out))
    foreign = [out / "fake" / name for name in ("000002.jpg", "objection-2.jpg", "objection-000009.txt", "mine.jpg")]
    for path in foreign:
        path.write_bytes(b"mine")
    exported = {path.name for path in (out / "fake").iterdir()} - {path.name for path in foreign}
    assert len(exported) == 3
    run("review", "1", "--delete")
    run("review", "2", "--decide", "real")
    assert "2 pictures" in run("export", str(out))
    listed = {row["file"] for row in csv.DictReader((out / "manifest.csv").read_text().splitlines())}
    present = {path.relative_to(out).as_posix() for path in out.glob("*/*") if path not in foreign}
    assert present == listed and len(listed) == 2
    assert all(path.read_bytes() == b"mine" for path in foreign)
    for objection in store.all():
        store.remove(objection.id)
    assert "0 pictures" in run("export", str(out))
    assert sorted(path for path in out.glob("*/*")) == sorted(foreign)
