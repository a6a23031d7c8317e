"""How photographs that were processed are judged: processed."""

from pathlib import Path

import click

from facecheck.checker import FaceChecker
from facecheck.model.files import DEFAULT_MODEL
from training.commands import FOLDER
from training.data import WORLD, read_manifest
from training.evaluation.corruptions import stratified
from training.evaluation.processing import markdown, measure_processing


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.option(
    "--model", "models", multiple=True, default=(DEFAULT_MODEL,), help="Name or path; several stand in columns."
)
@click.option("--split", default=WORLD)
@click.option("--faces", default=300, help="Photographs, drawn evenly from their sources.")
@click.option("--engine", default="auto")
def processed(data: Path, models: tuple[str, ...], split: str, faces: int, engine: str) -> None:
    """Count how often photographs of a split of DATA are called generated after a phone or an app processed them."""
    photographs = [row for row in read_manifest(data) if row.split == split and row.label == "real"]
    if not photographs:
        raise click.ClickException(f"{data} has no photographs in split {split!r}")
    chosen = [row for row in stratified(photographs, 2 * faces) if row.label == "real"]
    found = []
    for name in models:
        with FaceChecker(name, engine=engine) as checker:
            title = f"{checker.config.name} {checker.config.version}"
            found.append((title, measure_processing(checker, chosen)))
    sources = len({row.source for row in chosen})
    click.echo(f"{len(chosen)} photographs of {sources} sources, split {split}; in brackets the share called `fake`\n")
    click.echo(markdown(found))
