"""`python -m training COMMAND`: the steps that made the default model, in order."""

from collections.abc import Mapping
from importlib import import_module

import click

from facecheck.cli.options import Group

COMMANDS: Mapping[str, tuple[str, str]] = {
    "prepare": ("fit", "Cut the faces out of PHOTOS into a data folder."),
    "audit": ("fit", "Fail if anything but the faces tells the classes apart."),
    "backbone": ("fit", "Rebuild a pretrained network from a package."),
    "autoencoder": ("fit", "Train the autoencoder of the pseudo-fakes."),
    "pairs": ("fit", "Copy photographs through an autoencoder."),
    "train": ("fit", "Fine-tune on the train split."),
    "average": ("fit", "Average the weights of several runs."),
    "refit": ("fit", "Make batch norms and last layer of a run anew."),
    "calibrate": ("measure", "Choose probabilities, threshold and limits."),
    "evaluate": ("measure", "Measure a model: tables, curves and pictures."),
    "processed": ("measure", "Judge photographs that were processed."),
    "compare": ("measure", "Print how two reports differ."),
    "errors": ("measure", "Count how often such an answer is wrong."),
    "quantize": ("measure", "Make weights int8 for OpenVINO."),
    "explore": ("unseen", "What carries over to sources never seen."),
    "logo": ("unseen", "Leave each generator and source out in turn."),
    "ablate": ("unseen", "Which augmentations and data help."),
    "update": ("fit", "Teach weights new faces, if nothing gets worse."),
}
"""Name -> (module of `training.commands`, what it does): the modules load torch, the list of commands does not."""


class Steps(Group):
    """The commands in the order of the work, each imported when it is asked for."""

    unnamed = "the output"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None without one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"training.commands.{COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list that --help shows."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Steps, context_settings={"show_default": True})
def main() -> None:
    """Prepare and audit photos; train, calibrate and evaluate a facecheck model."""
