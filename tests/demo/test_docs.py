"""docs/reality-check.md names every command and option, and its shell lines are ones that exist."""

import re
import shlex
from pathlib import Path

import pytest

from demo.cli import main
from tests.commands import names_of, parse

DOCS = (Path(__file__).parents[2] / "docs" / "reality-check.md").read_text()
LINES = re.findall(r"^    python -m demo (.+?)(?: +#.*)?$", DOCS, re.M)


def test_every_command_and_option_is_mentioned():
    assert [name for name in names_of(main, "python -m demo") if name not in DOCS] == []


@pytest.mark.parametrize("line", LINES)
def test_every_shell_line_is_one_that_exists(line):
    parse(main, shlex.split(line))
