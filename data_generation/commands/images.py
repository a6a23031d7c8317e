"""Making images and judging them: generate, adopt, gate."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_generation import GenerationError
from data_generation.commands import (
    FILE,
    FOLDER,
    MODEL_HELP,
    NEW_FOLDER,
    Command,
    model_options,
    refuse,
    service_options,
    service_settings_of,
    settings_of,
)  # fmt: skip
from data_generation.gate import Limits, counts, coverage, judge, markdown, write_judgement
from data_generation.record import MODES, TXT2IMG, read_prompts
from data_generation.store import read_folder
from data_generation.synthesis import (
    DEFAULT_MODEL,
    PREFIX,
    ServiceSettings,
    Settings,
)  # fmt: skip

if TYPE_CHECKING:
    from data_generation.synthesis.pipelines import Pipeline

GROUP = 16
"""Images between two looks of the detector, and what a kill can cost on a processor."""


@click.command(context_settings={"show_default": True})
@click.argument("out", type=NEW_FOLDER)
@click.option("--prompts", type=FILE, help="prompts.jsonl, as `prompts` writes it.")
@click.option("--photos", type=FOLDER, help="Photographs to start from: all modes but txt2img.")
@click.option("--model", default=DEFAULT_MODEL, help=MODEL_HELP)
@click.option("--mode", type=click.Choice(MODES), default="txt2img")
@click.option("--each", default=1, help="Images of every prompt, or of every photograph.")
@click.option("--shard", default="1/1", help="i/n: make only this part; parts depend on nothing but the images' ids.")
@click.option("--ray", "address", help="Spread over the Ray cluster at this address; `local` starts one here.")
@click.option("--actors", default=0, show_default="one for each GPU, else processor", help="With --ray: pipelines.")
@model_options
@service_options
def generate(
    out: Path, prompts: Path | None, photos: Path | None, model: str, mode: str, each: int, shard: str,
    address: str | None, actors: int, **options: Any,
) -> None:  # fmt: skip
    """Make images with a diffusers model, or let a service make them, and write every one into OUT/manifest.jsonl.

    \b
    python -m data_generation generate faces --prompts prompts.jsonl
    python -m data_generation generate faces --prompts prompts.jsonl --model stabilityai/stable-diffusion-xl-base-1.0
    python -m data_generation generate pairs --photos holiday/ --mode vae --model ./realistic-vision
    python -m data_generation generate tiny --prompts prompts.jsonl --model facecheck/tiny-faces
    python -m data_generation generate paid --prompts prompts.jsonl --model openai:gpt-image-2 --max-cost 2

    txt2img paints from prompts. vae, img2img and inpaint start from photographs, cut around the largest face: the
    model's autoencoder alone, a part of the denoising, or the face alone. The photograph in the same square and size is
    kept beside each, so that pairs differ in nothing but the generation.

    With --face-adapter and --face every image keeps the face of one photograph, of which only a hash is recorded.

    The same command again makes only what is missing, whatever stopped it. Every image has its own seed and can be made
    again alone: on a processor the same recipe gives the same pixels.

    A service is asked for no image twice, whatever stops the run: OUT/requests.jsonl knows what was asked for.
    """  # noqa: D301 - \b is click's
    if model.startswith(PREFIX):
        refuse(["photos", "mode", "shard", "address", "actors"], "an image service")
        ask_service(out, prompts, each, service_settings_of(model, **options))
        return
    from data_generation.synthesis.conditioning import listed
    from data_generation.synthesis.generate import Cluster, Local, Run, Shard, tasks
    from data_generation.synthesis.pipelines import Pipeline

    settings, part = settings_of(model, mode, **options), Shard.parse(shard)
    _check_inputs(settings, prompts, photos)
    written = read_prompts(prompts) if prompts else []
    pipeline = Pipeline(settings)
    found = listed(photos) if photos else None
    wanted = tasks(pipeline, written, found.paths if found else [], each)
    run = Run(out, pipeline, part)
    if address:
        with Cluster(address, settings, actors) as cluster:
            made = run.make(wanted, cluster, settings.batch)
    else:
        made = run.make(wanted, Local(pipeline), _group(pipeline))
    click.echo(f"{made.new} images made, {made.before} were there, {out}/manifest{part.suffix}.jsonl")
    if found and found.note:
        click.echo(found.note)
    for note in made.notes():
        click.echo(note)


def _group(pipeline: "Pipeline") -> int:
    """Images that are made before they are looked at and recorded."""
    return pipeline.settings.batch if pipeline.device == "cuda" else GROUP


def make_all(out: Path, prompts: Path, model: str, each: int, options: dict[str, Any]) -> set[str]:
    """Make what OUT lacks of a run in one process, or let a service make it; the ids of all images of the run."""
    written = read_prompts(prompts)
    if model.startswith(PREFIX):
        asked = service_settings_of(model, **options)
        ask_service(out, prompts, each, asked)
        return {asked.recipe(prompt, index).id for prompt in written for index in range(each)}
    from data_generation.synthesis.generate import Local, Run, Shard, tasks
    from data_generation.synthesis.pipelines import Pipeline

    pipeline = Pipeline(settings_of(model, TXT2IMG, **options))
    wanted = list(tasks(pipeline, written, [], each))
    Run(out, pipeline, Shard()).make(wanted, Local(pipeline), _group(pipeline))
    return {task.recipe.id for task in wanted}


def ask_service(out: Path, prompts: Path | None, each: int, settings: ServiceSettings) -> None:
    """Let a service make what OUT lacks.

    Raises:
        GenerationError: there is no prompt, or the service cannot go on.
    """
    from data_generation.synthesis.service import Service

    _check_prompts(prompts)
    Service(out, settings, click.echo).make(read_prompts(prompts) if prompts else [], each)


def _check_prompts(prompts: Path | None) -> None:
    if prompts is None:
        raise GenerationError("--prompts FILE is missing; write one with `python -m data_generation prompts`")
    if not prompts.stat().st_size:
        raise GenerationError(f"{prompts} is empty; write prompts with `python -m data_generation prompts`")


def _check_inputs(settings: Settings, prompts: Path | None, photos: Path | None) -> None:
    if settings.needs_photos and photos is None:
        raise GenerationError(f"--mode {settings.mode} starts from photographs; pass --photos FOLDER")
    if not settings.needs_photos and photos is not None:
        raise GenerationError("--photos has no use in txt2img; pass --mode vae, img2img or inpaint")
    if prompts or settings.needs_prompts or not settings.needs_photos:
        _check_prompts(prompts)
    if settings.needs_photos and settings.width != settings.height:
        raise GenerationError("photographs are cut to squares; pass --size N N")


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@click.option("--generator", required=True, help="What made the pictures, such as 'Midjourney 7'.")
@click.option("--data", type=FOLDER, help="Data set of `training prepare`; pictures that it knows are left out.")
@click.option("--licence", default="unknown", help="Of the pictures.")
@click.option("--grid", type=click.Choice(["auto", "always", "never"]), default="auto", help="Cut pictures of four.")
def adopt(folder: Path, out: Path, generator: str, data: Path | None, licence: str, grid: str) -> None:
    """Take the pictures of FOLDER, which were made elsewhere, into OUT/manifest.jsonl.

    \b
    python -m data_generation adopt downloads midjourney --generator "Midjourney 7"

    The label is your word, so what each file says of itself is read first: one that names a camera or another generator
    is refused, and where nothing proves the label, the record says so. Near-duplicates are left out, grids of four are
    cut. The files themselves stay as they are. The same command again takes what is new; OUT/adopted.json lists what
    was left out, and why.
    """  # noqa: D301 - \b is click's
    from data_generation.adopt import Adopter

    for line in Adopter(out, generator, data, licence, grid).adopt(folder).lines():
        click.echo(line)


def _limit_options(command: Command) -> Command:
    helps = {
        "confidence": "Of the detector, for the one face.",
        "face_px": "Smallest face, pixels.",
        "outside": "Share of the face that may lie outside.",
        "contrast": "Grey levels of deviation below which an image is blank.",
        "clipped": "Share of black or white pixels above which it is saturated.",
        "distance": "Bits of 128 within which two images are duplicates.",
    }
    for field in reversed(fields(Limits)):
        name = "--" + field.name.replace("_", "-")
        command = click.option(name, field.name, default=field.default, help=helps[field.name])(command)
    return command


@click.command(context_settings={"show_default": True})
@click.argument("images", type=FOLDER)
@click.option("--plan", "plan_file", type=FILE, help="plan.json: print planned against achieved attributes.")
@_limit_options
def gate(images: Path, plan_file: Path | None, **limits: Any) -> None:
    """Judge all images of a folder and write IMAGES/gate.json.

    \b
    python -m data_generation gate faces --plan plan.json --face-px 64

    Exactly one whole face, sure and large enough; not blank, not saturated, not flagged by the model's safety checker,
    not a near-duplicate of another one; of a child or a teenager only where there is such a checker. Nothing is
    deleted: rejected images stay in the record with the reason, and other limits are a second call. Whether an image
    looks real or fake to facecheck is never asked.
    """  # noqa: D301 - \b is click's
    rows, chosen = read_folder(images), Limits(**limits)
    judged = judge(rows, chosen)
    path = write_judgement(images, judged, chosen)
    click.echo(f"{len(rows)} images, " + ", ".join(f"{count} {name}" for name, count in counts(judged).items()))
    click.echo(str(path))
    if plan_file:
        click.echo(coverage_of(plan_file, [row.recipe.cell for row in rows if not judged[row.id]]))


def coverage_of(plan_file: Path, cells: Sequence[str]) -> str:
    """Planned against achieved, as a table."""
    from data_generation.plan import Plan

    if not any(cells):
        return "no image is known to follow the plan: the model reads no text"
    return markdown(coverage(Plan.load(plan_file), [cell for cell in cells if cell]))
