"""Command lines against what documents say of them."""

from collections.abc import Iterator, Sequence

import click


def names_of(command: click.Command, path: str) -> Iterator[str]:
    """Every command below one, with its path, and every long option."""
    for name, child in getattr(command, "commands", {}).items():
        yield from names_of(child, f"{path} {name}")
    if not isinstance(command, click.Group):
        yield path
    yield from (option for parameter in command.params for option in parameter.opts if option.startswith("--"))


def parse(command: click.Command, words: Sequence[str]) -> None:
    """Read a line as the command would; raises where it does not fit."""
    rest = list(words)
    while isinstance(command, click.Group):
        if command.invoke_without_command and (not rest or rest[0].startswith("-")):
            break
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest)


def leaves(command: click.Command) -> Iterator[click.Command]:
    """The commands that do something."""
    for child in getattr(command, "commands", {}).values():
        yield from leaves(child)
    if not isinstance(command, click.Group):
        yield command
