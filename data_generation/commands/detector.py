"""What the images are for: export, challenge, teach."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from data_generation import GenerationError
from data_generation.commands import (
    FILE,
    FOLDER,
    MODEL_HELP,
    MODEL_OPTIONS,
    NEW_FOLDER,
    SERVICE_ONLY,
    model_options,
    refuse,
    service_options,
)  # fmt: skip
from data_generation.commands.images import make_all
from data_generation.gate import read_judgement
from data_generation.record import Row, read_prompts
from data_generation.store import read_folder
from data_generation.synthesis import DEFAULT_MODEL


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
    from data_generation.synthesis.conditioning import listed
    from data_generation.teach import export as hand_over
    from data_generation.teach import next_command

    rows, found = read_folder(images), listed(real) if real else None
    exported = hand_over(images, rows, read_judgement(images, rows), out, found.paths if found else [], source)
    click.echo("\n".join(exported.lines()))
    if found and found.note:
        click.echo(found.note)
    click.echo(f"next: {next_command(rows, out, Path('data'))}")


@click.command(context_settings={"show_default": True})
@click.argument("out", type=NEW_FOLDER)
@click.option("--prompts", type=FILE, help="prompts.jsonl: make these images first. Else OUT holds some already.")
@click.option("--model", default=DEFAULT_MODEL, help=MODEL_HELP)
@click.option("--each", default=1, help="Images of every prompt.")
@click.option("--detector", default="", show_default="the one that ships", help="Name or path of a facecheck model.")
@click.option("--data", type=FOLDER, help="Data set of `training prepare`, to stand beside: photographs, other fakes.")
@model_options
@service_options
def challenge(
    out: Path, prompts: Path | None, model: str, each: int, detector: str, data: Path | None, **options: Any
) -> None:
    """Let facecheck judge images of a generator and write OUT/challenge.html; with --prompts, make them first.

    \b
    python -m data_generation challenge sdxl --prompts prompts.jsonl --model stabilityai/stable-diffusion-xl-base-1.0
    python -m data_generation challenge midjourney --data DATA

    The page tells how much is caught in each delivery tier, what the same detector says of photographs and of other
    generators in DATA, which attributes and prompts slip through, and what the answers on the hardest ten looked at.
    The same command again goes on where it was; images that OUT holds of another model, seed, or other prompts are not
    counted.
    """  # noqa: D301 - \b is click's
    from data_generation.challenge import CLEAN, Challenge, headline, judge_world, rate, score
    from data_generation.report import write_report

    written = read_prompts(prompts) if prompts else []
    if prompts:
        asked = make_all(out, prompts, model, each, options)
        rows = [row for row in read_folder(out) if row.id in asked]
    else:
        refuse(("model", "each", *MODEL_OPTIONS, *SERVICE_ONLY), "images that are there already; pass --prompts")
        rows = read_folder(out)
    accepted = _accepted(out, rows)
    checker, scored = score(accepted, out, detector)
    attributes = {prompt.id: prompt.attributes for prompt in written}
    world = judge_world(data, detector) if data else None
    found = Challenge(out, scored, len(rows), checker, attributes, world, _retraining(out, accepted))
    page = write_report(found)
    click.echo(headline(rate(CLEAN, scored)))
    click.echo(str(page))


def _accepted(images: Path, rows: Sequence[Row]) -> list[Row]:
    judged = read_judgement(images, rows)
    accepted = [row for row in rows if not judged[row.id]]
    if not accepted:
        raise GenerationError(
            f"the gate accepted none of {len(rows)} images; see `python -m data_generation gate {images}`"
        )
    return accepted


@click.command(context_settings={"show_default": True})
@click.argument("images", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@click.option("--data", type=FOLDER, required=True, help="What the detector learned from, by `training prepare`.")
@click.option("--real", type=FOLDER, required=True, help="Photographs; as many are taken as images are learned.")
@click.option("--source", default="", show_default="their folder's", help="Name of the photographs' collection.")
@click.option("--detector", default="", show_default="the one that ships", help="Name or path of a facecheck model.")
@click.option("--steps", default=400)
@click.option("--batch", default=32)
@click.option("--lr", default=5e-5)
@click.option("--side", default=224, help="Input side, pixels.")
@click.option("--workers", default=2, type=click.IntRange(0), help="Processes; 0: this one.")
def teach(
    images: Path, out: Path, data: Path, real: Path, source: str, detector: str, steps: int, batch: int, lr: float,
    side: int, workers: int,
) -> None:  # fmt: skip
    """Teach the detector half of the accepted IMAGES into OUT, ask about the other half, and write OUT/taught.html.

    \b
    python -m data_generation teach faces lesson --data DATA --real PHOTOGRAPHS

    The page tells how much of the half that was not learned is caught before and after, and what became of every other
    generator and of the photographs of DATA. Exit code 1 if the retrained model must not replace the present one.
    """  # noqa: D301 - \b is click's
    from data_generation.report import write_lesson
    from data_generation.synthesis.conditioning import listed
    from data_generation.teach import smallest_face
    from data_generation.teach import teach as learn
    from training.fitting.trainer import TrainConfig

    rows = _accepted(images, read_folder(images))
    config = TrainConfig(steps=steps, batch=batch, lr=lr, phases=((1.0, side),), frozen=(), workers=workers)
    try:
        photographs = listed(real).paths
        lesson = learn(images, rows, out, data, photographs, config, smallest_face(rows), source, detector, workers)
    except ValueError as error:
        raise GenerationError(str(error)) from error
    click.echo(lesson.line)
    click.echo(str(write_lesson(lesson, out)))
    if lesson.outcome.refusals:
        click.echo("must not replace the present model: " + "; ".join(lesson.outcome.refusals))
        raise click.exceptions.Exit(1)


def _retraining(out: Path, rows: Sequence[Row]) -> str:
    from data_generation.teach import next_command

    return (
        f"python -m data_generation export {shlex.quote(str(out))} export --real PHOTOGRAPHS\n"
        f"{next_command(rows, Path('export'), Path('new-data'))}\n"
        "python -m training update facecheck/weights/facecheck-resnet50.safetensors new-data updates/1 "
        "--replay OLD_DATA --cases cases.csv"
    )
