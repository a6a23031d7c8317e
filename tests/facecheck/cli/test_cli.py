"""The command as people run it: in a script, on a folder, for each face."""

import csv
import io
import json
import os
import shlex
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecheck.checker import FaceChecker
from facecheck.cli import main
from facecheck.error_rates import Budget
from facecheck.model import DEFAULT_MODEL
from facecheck.model.checkpoint import save_model
from facecheck.model.config import Decision
from facecheck.result import Prediction
from facecheck.scan.tables import COLUMNS
from facecheck.settings import CheckerSettings
from tests.commands import leaves, parse
from tests.full_disk import SAYS, no_room


@pytest.fixture
def run(monkeypatch, checker):
    """Run the command in this process, with a tiny classifier."""
    monkeypatch.setattr(CheckerSettings, "checker", lambda *_, **__: checker)

    def invoke(*arguments: object, stdin: bytes = b""):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)

    return invoke


def test_one_readable_line_per_picture(run, folder):
    result = run("predict", folder)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{folder}/a.jpg: ")
    assert "p_fake 0." in lines[0]
    assert "1 face" in lines[0]
    assert lines[1] == f"{folder}/b/cat.png: no_face (no face found)"


def test_json_lines_are_predictions(run, folder):
    lines = run("predict", "--json", folder).stdout.splitlines()
    predictions = [Prediction.from_dict(json.loads(line)) for line in lines]
    assert [len(p.faces) for p in predictions] == [1, 0]


def test_csv_has_a_header_and_no_formulas(run, folder):
    result = run("predict", "--csv", folder / "a.jpg", "--", "=missing.jpg")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert rows[0]["verdict"] in ("real", "fake", "uncertain")
    assert rows[1]["source"] == "'=missing.jpg"
    assert rows[1]["error"]
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


def test_standard_input(run, grace_path):
    result = run("predict", "-", stdin=grace_path.read_bytes())
    assert result.exit_code == 0
    assert "1 face" in result.stdout


def test_what_the_file_says_stands_beside_the_verdict(run, folder, cat):
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Seed: 1")
    Image.fromarray(cat).save(folder / "generated.png", pnginfo=info)
    said = "the file says generated (text, declared)"
    line = run("predict", folder / "generated.png").stdout.strip()
    assert line == f"{folder}/generated.png: no_face (no face found); {said}"
    (row,) = csv.DictReader(io.StringIO(run("predict", "--csv", folder / "generated.png").stdout))
    assert (row["verdict"], row["file_says"]) == ("no_face", said)


def test_exit_codes(run, folder):
    verdict = json.loads(run("predict", "--json", folder / "a.jpg").stdout)["verdict"]
    assert run("predict", folder / "a.jpg", "missing.jpg").exit_code == 1
    assert run("predict", "--fail-on", verdict, folder / "a.jpg").exit_code == 3
    assert run("predict", "--fail-on", "fake", folder / "b").exit_code == 0
    assert run("predict", "--fail-on", "no_face", folder / "b", "missing.jpg").exit_code == 3
    assert run("predict").exit_code == 2
    assert run("predict", "--fail-on", "nonsense", folder).exit_code == 2


def test_a_folder_that_cannot_be_listed_is_an_error(run, folder, monkeypatch):
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda at: real(at if not str(at).endswith("b") else f"{at}-gone"))
    result = run("predict", "--json", folder)
    assert result.exit_code == 1
    closed = json.loads(result.stdout.splitlines()[-1])
    assert closed["source"].endswith("b-gone")
    assert closed["error"]


def test_file_names_cannot_write_to_the_terminal(run, tmp_path):
    (tmp_path / "a\x1b[31m\n.jpg").write_bytes(b"junk")
    result = run("predict", tmp_path)
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 1


def test_model_info_and_list():
    result = CliRunner().invoke(main, ["model", "info"])
    assert result.exit_code == 0
    assert "facecheck-resnet50" in result.stdout
    assert "(checked)" in result.stdout
    as_json = CliRunner().invoke(main, ["model", "info", "--json"])
    assert json.loads(as_json.stdout)["classes"] == ["real", "fake"]
    assert CliRunner().invoke(main, ["model", "list"]).stdout == "facecheck-resnet50\n"


def test_an_unknown_model_or_device_is_one_line_not_a_traceback(grace_path):
    for arguments in (["model", "info", "nonsense"], ["predict", "--model", "nonsense", str(grace_path)]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: no model at 'nonsense'")
    result = CliRunner().invoke(main, ["predict", "--device", "nonsense", str(grace_path)])
    assert result.stderr.startswith("Error: device 'nonsense'")


def test_a_budget_is_named_beside_the_results(tiny_model, tmp_path, grace_path):
    config = replace(tiny_model.config, decision=Decision(budgets=(Budget(0.01, 0.9, 0.8, 0.7, 0.85),)))
    weights = save_model(tiny_model.network, config, tmp_path)
    arguments = ["predict", "--json", "--model", str(weights), str(grace_path), "--max-fpr"]
    result = CliRunner().invoke(main, [*arguments, "0.01"])
    assert json.loads(result.stdout)["budget"]["recall"] == 0.8
    assert "80.0%" in result.stderr
    refused = CliRunner().invoke(main, [*arguments, "0.02"])
    assert refused.exit_code == 1
    assert "use one of 0.01" in refused.stderr
    assert "0.01 (finds 80.0%)" in CliRunner().invoke(main, ["model", "info", str(weights)]).stdout


def test_the_default_checker_is_the_default_model():
    made = CheckerSettings(device="cpu").checker()
    assert isinstance(made, FaceChecker)
    assert made.config.name == DEFAULT_MODEL


def test_a_line_for_each_face(run, folder):
    rows = list(csv.DictReader(io.StringIO(run("predict", "--csv", "--per", "face", folder).stdout)))
    assert [row["face"] for row in rows] == ["1", ""]
    assert list(rows[0]) == list(COLUMNS["face"])
    (alone,) = json.loads(run("predict", "--json", folder / "a.jpg").stdout)["faces"]
    assert [float(rows[0][name]) for name in ("x0", "y0", "x1", "y1")] == pytest.approx(alone["box"], abs=1e-4)
    assert rows[1]["picture_verdict"] == "no_face"
    assert run("predict", "--per", "face", folder).exit_code == 2


def test_annotated_pictures_do_not_overwrite_each_other(run, folder):
    (folder / "b" / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    out = folder / "framed"
    assert run("predict", folder / "a.jpg", folder / "b", "--save-annotated", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a-2.png", "a.png", "cat.png"]
    with Image.open(out / "a.png") as framed, Image.open(folder / "a.jpg") as picture:
        assert framed.size == picture.size
        assert np.any(np.asarray(framed) != np.asarray(picture))


def test_on_a_full_disk_no_half_picture_stays_and_no_name_is_used_up(run, folder):
    out = folder / "framed"
    with no_room(1000):
        ran = run("predict", folder / "a.jpg", "--save-annotated", out)
    assert (ran.exit_code, ran.stderr) == (1, f"Error: {out / 'a.png'}: {SAYS}\n")
    assert list(out.iterdir()) == []
    assert run("predict", folder / "a.jpg", "--save-annotated", out).exit_code == 0
    assert [path.name for path in out.iterdir()] == ["a.png"]


def test_sidecars_empty_folders_typos_and_addresses(run, folder, monkeypatch):
    for name in ("a.xmp", "Thumbs.db", "notes.txt"):
        (folder / name).write_text("no picture")
    result = run("predict", folder)
    assert result.exit_code == 0
    assert result.stderr == "left out 3 files that are no pictures\n"
    assert run("predict", folder / "notes.txt").exit_code == 1
    (folder / "empty").mkdir()
    assert run("predict", folder / "empty").stderr == f"no picture in {folder}/empty\n"
    monkeypatch.chdir(folder)
    typo = run("predict", "b/kat.png")
    assert typo.exit_code == 1
    assert typo.stderr.startswith("b/kat.png: no such file; did you mean b/cat.png?")
    address = run("predict", "https://example.com/a.jpg")
    assert address.stdout.startswith("https://example.com/a.jpg: could not be read: an address")


@pytest.mark.parametrize("command", list(leaves(main)), ids=lambda command: command.name)
def test_help_has_groups_and_ends_with_examples_that_exist(command):
    assert len(command.examples) >= 2
    for line in command.examples:
        parse(main, shlex.split(line.partition(">")[0])[1:])
    told = CliRunner().invoke(command, ["--help"]).stdout
    assert told.index("Options:") < told.index("Examples:")
    assert all(f"{heading}:" in told for heading in command.groups)
    names = {parameter.name for parameter in command.params}
    assert all(name in names for group in command.groups.values() for name in group)
