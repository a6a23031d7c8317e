"""`python -m data_generation COMMAND`: from a plan to documented synthetic faces and what a detector says of them."""

import click

from data_generation import GenerationError
from data_generation.commands import detector, images, prompts
from facecheck.cli.options import Group


class _Group(Group):
    """Errors that the person can mend end in one line."""

    unnamed = "the output"

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except GenerationError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"show_default": True})
def main() -> None:
    """Synthetic faces on demand: plan, prompts, generate, gate, export; challenge a detector with them."""


for command in (
    prompts.plan, prompts.prompts, images.generate, images.adopt, images.gate, detector.export, detector.challenge,
    detector.teach, images.train_tiny,
):  # fmt: skip
    main.add_command(command)
