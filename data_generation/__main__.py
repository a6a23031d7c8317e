"""`python -m data_generation COMMAND`: from a plan to documented synthetic faces, in order."""

import click

from data_generation.commands import prompts


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Plan, describe and make synthetic faces, and keep a record of everything."""


for command in (prompts.plan, prompts.prompts):
    main.add_command(command)

if __name__ == "__main__":
    main()
