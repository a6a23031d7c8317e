"""Photos to faces: prepare, audit."""

import json
from pathlib import Path

import click

from facecheck.files import write_atomically
from training.commands import FILE, FOLDER
from training.faces.audit import AuditSettings
from training.faces.audit import audit as run_audit
from training.faces.layouts import Defaults, recognise
from training.faces.prepare import PrepareConfig
from training.faces.prepare import prepare as run_prepare


@click.command(context_settings={"show_default": True})
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--label", type=click.Choice(["real", "fake"]), help="Of all pictures whose layout does not say.")
@click.option("--source", default="", help="Name of the data set; without it the folder's.")
@click.option("--generator", default="", help="What made the fakes, where the layout does not say.")
@click.option("--licence", default="", help="Of the pictures, where the layout does not say.")
@click.option("--fake-is", type=click.Choice(["0", "1"]), help="What a number as label means in a table.")
@click.option("--min-face", default=PrepareConfig.min_face_px, help="Drop faces shorter than this many pixels.")
@click.option("--all-faces", is_flag=True, help="Every face of a photo, not only the largest.")
@click.option("--split", nargs=3, type=float, default=PrepareConfig.split, help="Shares of train, val and test.")
@click.option("--keep-split", is_flag=True, help="Keep the split of the data set; groups that cross it are moved.")
@click.option("--world", multiple=True, help="Set this source aside whole, as the split that rates are stated from.")
@click.option("--identity-weights", type=FILE, help="InceptionResnetV1 safetensors: one person is one group.")
@click.option("--identity-similarity", default=PrepareConfig.identity_similarity, help="Cosine that means one person.")
@click.option("--seed", default=PrepareConfig.seed)
@click.option("--workers", default=PrepareConfig.workers, type=click.IntRange(0), help="Processes; 0: this one.")
def prepare(
    photos: tuple[Path, ...], out: Path, label: str | None, source: str, generator: str, licence: str,
    fake_is: str | None, min_face: int, all_faces: bool, split: tuple[float, float, float], keep_split: bool,
    world: tuple[str, ...], identity_weights: Path | None, identity_similarity: float, seed: int, workers: int,
) -> None:  # fmt: skip
    """Cut the faces out of PHOTOS (folders, tables, pictures) into OUT; run again with the same OUT to resume."""
    defaults = Defaults(label or "", source, generator, licence, fake_is or "")
    config = PrepareConfig(
        min_face, all_faces, split, keep_split, world, identity_weights=identity_weights,
        identity_similarity=identity_similarity, seed=seed, workers=workers,
    )  # fmt: skip
    try:
        found = [recognise(place, defaults) for place in photos]
        click.echo(run_prepare(found, out, config))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.option("--faces", default=AuditSettings.faces, help="Size of the sample that the leaks are measured on.")
@click.option("--size", default=AuditSettings.size, help="Side of the model's input, pixels.")
@click.option("--margin", default=AuditSettings.margin, help="Of the model's crop, multiple of the face box.")
@click.option("--split", default="train", help="Where the leaks are measured; duplicates are sought everywhere.")
@click.option("--seed", default=AuditSettings.seed)
@click.option("--boost", multiple=True, type=(str, float), help="LABEL/SOURCE FACTOR, as in train.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here too.")
@click.pass_context
def audit(
    context: click.Context, data: Path, faces: int, size: int, margin: float, split: str, seed: int,
    boost: tuple[tuple[str, float], ...], json_file: Path | None,
) -> None:  # fmt: skip
    """Fail, with exit code 1, if anything but the faces tells the classes of DATA/manifest.csv apart."""
    try:
        report = run_audit(data, AuditSettings(faces, size, margin, seed=seed, boost=boost), split)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report.to_markdown())
    if json_file:
        write_atomically(json_file, (json.dumps(report.to_dict(), indent=2) + "\n").encode())
    context.exit(0 if report.passed else 1)
