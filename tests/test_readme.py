"""The README's words hold: its examples run, its commands exist, and nothing of the command line is missing in it."""

import re
import shlex
from pathlib import Path

import pytest

from facecheck.cli import main
from tests.commands import names_of, parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [line.strip() for line in README.splitlines() if line.startswith("    facecheck ")]


def test_the_python_example_runs(tmp_path, monkeypatch, grace_path, capsys):
    (tmp_path / "photo.jpg").write_bytes(grace_path.read_bytes())
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(example, "README.md", "exec"), {})
    assert "missing.jpg: no such file" in capsys.readouterr().out


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one_that_exists(line):
    parse(main, shlex.split(line.partition("#")[0].partition(">")[0])[1:])


def test_every_command_and_option_is_mentioned():
    assert [name for name in names_of(main, "facecheck") if name not in README] == []


def test_the_model_card_and_the_readme_agree_on_the_quality():
    card = (ROOT / "facecheck" / "weights" / "MODEL_CARD.md").read_text()
    rows = re.findall(r"^\| (?:clean|web|hard) \|.*$", README, re.M)
    assert len(rows) == 3
    assert all(row in card for row in rows)


def test_ci_runs_the_readmes_test_command():
    assert README.count("-m pytest") == 1
    assert "grep -m 1 -- '-m pytest' README.md" in (ROOT / ".ci" / "run").read_text()


def test_linked_files_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
