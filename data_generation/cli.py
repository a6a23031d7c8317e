"""`python -m data_generation COMMAND`: from a plan to documented synthetic faces and what a detector says of them."""

import errno
import os

import click

from data_generation import GenerationError
from data_generation.commands import detector, images, prompts, tiny
from facecheck.cli.options import Group


class _Group(Group):
    """Errors that the person can mend end in one line."""

    unnamed = "the output"

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except GenerationError as error:
            raise click.ClickException(_advised(str(error))) from error
        except click.ClickException as error:
            if (told := _advised(error.message)) == error.message:
                raise
            raise click.ClickException(told) from error


def _advised(message: str) -> str:
    """With what to do where only the disk is full: all that was made is recorded."""
    is_full = "disk is full" in message or message.endswith(os.strerror(errno.ENOSPC))
    return f"{message}: make room, and run again to go on" if is_full else message


@click.group(cls=_Group, context_settings={"show_default": True})
def main() -> None:
    """Synthetic faces on demand: plan, prompts, generate, gate, export; challenge a detector with them."""


for command in (
    prompts.plan, prompts.prompts, images.generate, images.adopt, images.gate, detector.export, detector.challenge,
    detector.teach, tiny.train_tiny, tiny.train_enlarger, tiny.distance,
):  # fmt: skip
    main.add_command(command)
