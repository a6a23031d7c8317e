"""The command `facecheck`: one module a command."""

import click

from facecheck import __version__
from facecheck.cli import explain, files, model, predict, review, scan
from facecheck.cli.options import Group


@click.group(cls=Group)
@click.version_option(__version__)
def main() -> None:
    """Tell photographs of faces from AI-generated ones. Nothing leaves this machine."""


for command in (
    predict.predict, explain.explain, scan.scan, review.review, model.model, files.provenance, files.formats
):  # fmt: skip
    main.add_command(command)
