"""What the images are for: export, challenge."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from data_generation.commands import FILE, FOLDER, NEW_FOLDER
from data_generation.commands.images import GROUP, model_options, settings_of
from data_generation.errors import GenerationError
from data_generation.gate import read_judgement
from data_generation.prompts.record import read_prompts
from data_generation.record import Row, read_folder
from data_generation.synthesis.settings import DEFAULT_MODEL, EMBEDDED_MODEL


@click.command(context_settings={"show_default": True})
@click.argument("images", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@click.option("--real", type=FOLDER, help="Photographs; as many are taken as images were accepted.")
@click.option("--source", default="", show_default="their folder's", help="Name of the photographs' collection.")
def export(images: Path, out: Path, real: Path | None, source: str) -> None:
    """Hand the accepted IMAGES over as the folder OUT, for `python -m training prepare`.

    \b
    python -m data_generation export faces export --real "Human Faces/Real Images"
    python -m training prepare export data

    OUT/manifest.jsonl has a line for each file. Images of one plan cell stand in one split, and so does what was made
    from one photograph. Photographs pass the same gate as images. The limits are those of IMAGES/gate.json.
    """  # noqa: D301 - \b is click's
    from data_generation.export import export as hand_over
    from data_generation.export import next_command, summary
    from data_generation.synthesis.photos import listed

    rows, found = read_folder(images), listed(real) if real else None
    exported = hand_over(images, rows, read_judgement(images, rows), out, found.paths if found else [], source)
    click.echo("\n".join(summary(exported)))
    if found and found.note:
        click.echo(found.note)
    click.echo(f"next: {next_command(rows, out, Path('data'))}")


@click.command(context_settings={"show_default": True})
@click.argument("out", type=NEW_FOLDER)
@click.option("--model", default=DEFAULT_MODEL, help=f"Hub id, folder, or {EMBEDDED_MODEL} (ships with facecheck).")
@click.option("--prompts", type=FILE, required=True, help="prompts.jsonl, as `prompts` writes it.")
@click.option("--each", default=1, help="Images of every prompt.")
@click.option("--detector", default="", show_default="the one that ships", help="Name or path of a facecheck model.")
@model_options
def challenge(out: Path, model: str, prompts: Path, each: int, detector: str, **options: Any) -> None:
    """Make images of a generator, let facecheck judge them, and write OUT/challenge.html.

    \b
    python -m data_generation challenge sdxl --prompts prompts.jsonl --model stabilityai/stable-diffusion-xl-base-1.0

    The page tells how much is caught, as made and after the web's JPEG; which attributes and prompts slip through; and
    the commands that retrain with the images. The same command again goes on where it was; images that OUT holds of
    another model, seed, or other prompts are not counted.
    """  # noqa: D301 - \b is click's
    from data_generation.challenge import CLEAN, rate, score
    from data_generation.challenge_report import headline, write_report
    from data_generation.synthesis.generate import Local, Run, Shard, tasks
    from data_generation.synthesis.pipelines import Pipeline

    pipeline = Pipeline(settings_of(model, "txt2img", **options))
    group = pipeline.settings.batch if pipeline.device == "cuda" else GROUP
    written = read_prompts(prompts)
    wanted = list(tasks(pipeline, written, [], each))
    Run(out, pipeline, Shard()).make(wanted, Local(pipeline), group)
    asked = {task.recipe.id for task in wanted}
    rows = [row for row in read_folder(out) if row.id in asked]
    judged = read_judgement(out, rows)
    accepted = [row for row in rows if not judged[row.id]]
    if not accepted:
        raise GenerationError(
            f"the gate accepted none of {len(rows)} images; see `python -m data_generation gate {out}`"
        )
    checker, scored = score(accepted, out, detector)
    attributes = {each.id: each.attributes for each in written}
    retraining = _retraining(out, accepted)
    page = write_report(out, scored, attributes, len(rows), checker.config, retraining)
    click.echo(headline(rate(CLEAN, scored)))
    click.echo(str(page))


def _retraining(out: Path, rows: Sequence[Row]) -> str:
    from data_generation.export import next_command

    return (
        f"python -m data_generation export {shlex.quote(str(out))} export --real PHOTOGRAPHS\n"
        f"{next_command(rows, Path('export'), Path('new-data'))}\n"
        "python -m training update facecheck/weights/facecheck-resnet50.safetensors new-data updates/1 "
        "--replay OLD_DATA --cases cases.csv"
    )
