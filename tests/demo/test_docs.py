"""docs/reality-check.md names every command and option, and its shell lines are ones that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from demo.__main__ import main

DOCS = (Path(__file__).parents[2] / "docs" / "reality-check.md").read_text()
LINES = re.findall(r"^    python -m demo (.+?)(?: +#.*)?$", DOCS, re.M)


def test_every_command_and_option_is_mentioned():
    def walk(command: click.Command, path: str):
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{path} {name}")
        if not isinstance(command, click.Group):
            yield path
        yield from (option for parameter in command.params for option in parameter.opts if option.startswith("--"))

    assert [name for name in walk(main, "python -m demo") if name not in DOCS] == []


@pytest.mark.parametrize("line", LINES)
def test_every_shell_line_is_one_that_exists(line):
    words, command = shlex.split(line), main
    while words and isinstance(command, click.Group) and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    command.make_context("demo", words)
