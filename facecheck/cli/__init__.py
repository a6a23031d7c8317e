"""The command `facecheck`: its commands, by what they work on."""

import click

from facecheck import __version__
from facecheck.cli import files, predict, review, scan
from facecheck.cli.options import Group


@click.group(cls=Group)
@click.version_option(__version__)
def main() -> None:
    """Tell photographs of faces from AI-generated ones. Nothing leaves this machine."""


for command in (
    predict.predict, predict.explain, scan.scan, review.review, files.model, files.provenance, files.formats
):  # fmt: skip
    main.add_command(command)
