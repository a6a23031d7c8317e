"""The commands of `python -m training`: thin, each a call on the module that does the work."""

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CACHE = click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of scores.  [default: facecheck's own]"
)
