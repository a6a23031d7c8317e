"""Weights to int8: quantize."""

from pathlib import Path

import click

from facecheck.errors import FacecheckError
from training.commands import FILE, FOLDER
from training.data import read_manifest


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--faces", type=click.IntRange(2), default=300, help="Of the train split, for the calibration.")
def quantize(weights: Path, data: Path, faces: int) -> None:
    """Make WEIGHTS int8 for OpenVINO, beside them, and print what is lost on the test split of DATA."""
    from training import quantize as work

    try:
        found = work.quantize(weights, read_manifest(data), data, faces)
    except ImportError as error:
        raise click.ClickException(f'{error}: pip install "facecheck[openvino,training]"') from error
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(work.losses_markdown(found))
