"""Making images and judging them: generate, gate, train-tiny."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from data_generation.commands import FILE, FOLDER, NEW_FOLDER
from data_generation.errors import GenerationError
from data_generation.gate import Limits, counts, judge, write_judgement
from data_generation.prompts.record import read_prompts
from data_generation.record import MODES, read_folder
from data_generation.synthesis.settings import DEFAULT_MODEL, DTYPES, EMBEDDED_MODEL, Settings

Command = Callable[..., None]
GROUP = 16
"""Images between two looks of the detector, and what a kill can cost on a processor."""


def model_options(command: Command) -> Command:
    """Everything that `Settings` holds but model and mode."""
    for option in reversed((
        click.option("--revision", default="", show_default="its newest", help="Branch, tag or commit on the hub."),
        click.option("--scheduler", default="", show_default="the model's", help="Such as EulerDiscreteScheduler."),
        click.option("--steps", default=0, help="Denoising steps; 0 = the pipeline's default."),
        click.option("--guidance", type=float, show_default="the pipeline's", help="Classifier-free guidance scale."),
        click.option("--strength", default=0.5, help="img2img, inpaint: how much is repainted, above 0, at most 1."),
        click.option("--size", type=(int, int), default=(0, 0), help="WIDTH HEIGHT; 0 0 = the model's own."),
        click.option("--dtype", type=click.Choice(DTYPES), show_default="float16 on a GPU, else float32"),
        click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ..."),
        click.option("--batch", default=4, help="Images at once on a GPU; halved where memory is short."),
        click.option("--offload", is_flag=True, help="Keep only the working part of the model on the GPU."),
        click.option("--licence", default="", show_default="as the model says", help="Of the model."),
        click.option("--seed", default=0, help="Of the run; each image has its own, drawn from it."),
    )):  # fmt: skip
        command = option(command)
    return command


def settings_of(model: str, mode: str, size: tuple[int, int], dtype: str | None, **options: Any) -> Settings:
    """Options -> Settings."""
    return Settings(model, mode=mode, width=size[0], height=size[1], dtype=dtype or "", **options)


@click.command(context_settings={"show_default": True})
@click.argument("out", type=NEW_FOLDER)
@click.option("--prompts", type=FILE, help="prompts.jsonl, as `prompts` writes it.")
@click.option("--photos", type=FOLDER, help="Photographs to start from: all modes but txt2img.")
@click.option("--model", default=DEFAULT_MODEL, help=f"Hub id, folder, or {EMBEDDED_MODEL} (ships with facecheck).")
@click.option("--mode", type=click.Choice(MODES), default="txt2img")
@click.option("--each", default=1, help="Images of every prompt, or of every photograph.")
@click.option("--shard", default="1/1", help="i/n: make only this part; parts depend on nothing but the images' ids.")
@click.option("--ray", "address", help="Spread over the Ray cluster at this address; `local` starts one here.")
@click.option("--actors", default=0, show_default="one for each GPU, else processor", help="With --ray: pipelines.")
@model_options
def generate(
    out: Path, prompts: Path | None, photos: Path | None, model: str, mode: str, each: int, shard: str,
    address: str | None, actors: int, **options: Any,
) -> None:  # fmt: skip
    """Make images with a diffusers model and write every one into OUT/manifest.jsonl.

    \b
    python -m data_generation generate faces --prompts prompts.jsonl
    python -m data_generation generate faces --prompts prompts.jsonl --model stabilityai/stable-diffusion-xl-base-1.0
    python -m data_generation generate pairs --photos holiday/ --mode vae --model ./realistic-vision
    python -m data_generation generate tiny --prompts prompts.jsonl --model facecheck/tiny-faces

    txt2img paints from prompts. vae, img2img and inpaint start from photographs, cut around the largest face: the
    model's autoencoder alone, a part of the denoising, or the face alone. The photograph in the same square and size is
    kept beside each, so that pairs differ in nothing but the generation.

    The same command again makes only what is missing, whatever stopped it. Every image has its own seed and can be made
    again alone: on a processor the same recipe gives the same pixels.
    """  # noqa: D301 - \b is click's
    from data_generation.synthesis.generate import Local, Run, Shard, tasks
    from data_generation.synthesis.photos import listed
    from data_generation.synthesis.pipelines import Pipeline

    settings, part = settings_of(model, mode, **options), Shard.parse(shard)
    _check_inputs(settings, prompts, photos)
    written = read_prompts(prompts) if prompts else []
    pipeline = Pipeline(settings)
    found = listed(photos) if photos else None
    wanted = tasks(pipeline, written, found.paths if found else [], each)
    run = Run(out, pipeline, part)
    if address:
        from data_generation.synthesis.cluster import Cluster

        with Cluster(address, settings, actors) as cluster:
            made = run.make(wanted, cluster, settings.batch)
    else:
        made = run.make(wanted, Local(pipeline), settings.batch if pipeline.device == "cuda" else GROUP)
    click.echo(f"{made.new} images made, {made.before} were there, {out}/manifest{part.suffix}.jsonl")
    if found and found.note:
        click.echo(found.note)
    if made.faceless:
        click.echo(f"{made.faceless} photographs left out: unreadable, or no face found")


def _check_inputs(settings: Settings, prompts: Path | None, photos: Path | None) -> None:
    if settings.needs_photos and photos is None:
        raise GenerationError(f"--mode {settings.mode} starts from photographs; pass --photos FOLDER")
    if not settings.needs_photos and photos is not None:
        raise GenerationError("--photos has no use in txt2img; pass --mode vae, img2img or inpaint")
    if prompts is None and (settings.needs_prompts or not settings.needs_photos):
        raise GenerationError("--prompts FILE is missing; write one with `python -m data_generation prompts`")
    if prompts and not prompts.stat().st_size:
        raise GenerationError(f"{prompts} is empty; write prompts with `python -m data_generation prompts`")
    if settings.needs_photos and settings.width != settings.height:
        raise GenerationError("photographs are cut to squares; pass --size N N")


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
    from data_generation.plan import Plan, coverage, markdown

    if not any(cells):
        return "no image is known to follow the plan: the model reads no text"
    return markdown(coverage(Plan.load(plan_file), [cell for cell in cells if cell]))


@click.command(name="train-tiny", context_settings={"show_default": True})
@click.argument("photos", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@click.option("--steps", default=3300)
@click.option("--batch", default=32)
@click.option("--source", "sources", multiple=True, help="Only these sources of a manifest.csv.")
def train_tiny(photos: Path, out: Path, steps: int, batch: int, sources: tuple[str, ...]) -> None:
    """Train a small face generator on PHOTOS, resuming a run found in OUT.

    \b
    python -m data_generation train-tiny ../shared/data/faces runs/tiny

    Of a folder with a manifest.csv it takes the real pictures of the train split. OUT/tiny-faces is the pipeline, for
    `generate --model OUT/tiny-faces`. This is how facecheck/tiny-faces was made.
    """  # noqa: D301 - \b is click's
    from data_generation.tiny.train import TinyConfig, cached_faces, photographs
    from data_generation.tiny.train import train_tiny as fit

    faces = cached_faces(photographs(photos, sources), out / "faces.npy")
    click.echo(f"{len(faces)} aligned faces")
    click.echo(str(fit(faces, TinyConfig(steps=steps, batch=batch), out, click.echo)))
