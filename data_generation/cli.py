"""`python -m data_generation COMMAND`: from a plan to documented synthetic faces and what a detector says of them."""

import click

from data_generation import GenerationError
from data_generation.commands import detector, images, prompts, tiny
from facecheck.cli.options import Group


class _Group(Group):
    """All that was made is recorded, so a run goes on where it ended."""

    unnamed = "the output"
    mistakes = (*Group.mistakes, GenerationError)
    when_full = ": make room, and run again to go on"


@click.group(cls=_Group, context_settings={"show_default": True})
def main() -> None:
    """Synthetic faces on demand: plan, prompts, generate, gate, export; challenge a detector with them."""


for command in (
    prompts.plan, prompts.prompts, images.generate, images.adopt, images.gate, detector.export, detector.challenge,
    detector.teach, tiny.train_tiny, tiny.train_enlarger, tiny.distance,
):  # fmt: skip
    main.add_command(command)
