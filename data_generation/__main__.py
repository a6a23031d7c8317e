"""`python -m data_generation COMMAND`: prompts -> images -> gate -> data for training, in order."""

import click

from data_generation.commands import handover, synthesis
from data_generation.record import GenerationError


class _Group(click.Group):
    """Errors that the person can mend end in one line."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GenerationError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"show_default": True})
def main() -> None:
    """Synthetic faces on demand: plan, prompts, generate, gate, export; challenge a detector with them."""


for command in (synthesis.generate, synthesis.gate, handover.export, handover.challenge, synthesis.train_tiny):
    main.add_command(command)

if __name__ == "__main__":
    main()
