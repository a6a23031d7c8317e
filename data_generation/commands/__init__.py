"""The commands, and the options that several of them share."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from data_generation import GenerationError
from data_generation.api_client import PRICES, Prices
from data_generation.synthesis import DTYPES, EMBEDDED_MODEL, PREFIX, ServiceSettings, Settings

Command = Callable[..., None]
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
MODEL_HELP = f"Hub id, folder, {EMBEDDED_MODEL} (ships with facecheck), or {PREFIX}NAME of a service."
SHARED = frozenset({"size", "licence"})
"""Options that both a pipeline and a service take."""


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
        click.option(
            "--lora", type=FILE, help="Safetensors to add to the model."
        ),
        click.option(
            "--face-adapter", type=click.Path(exists=True, path_type=Path),
            help="IP-Adapter that keeps a face: safetensors, or its folder.",
        ),
        click.option("--face", type=FILE, help="Photograph of an adult who agreed: the face that is kept."),
        click.option("--face-scale", default=0.6, help="How much of the face is kept, above 0, at most 1."),
        click.option("--licence", default="", show_default="as the model says", help="Of the model."),
        click.option("--seed", default=0, help="Of the run; each image has its own, drawn from it."),
    )):  # fmt: skip
        command = option(command)
    return command


MODEL_OPTIONS = (
    "revision", "scheduler", "steps", "guidance", "strength", "size", "dtype", "device", "batch", "offload", "lora",
    "face_adapter", "face", "face_scale", "licence", "seed",
)  # fmt: skip


def service_options(command: Command) -> Command:
    """Everything that `ServiceSettings` holds but the model."""
    for option in reversed((
        click.option(
            "--base-url", default="", envvar="OPENAI_BASE_URL", show_default="OpenAI's",
            help="Service that speaks OpenAI's images format.",
        ),
        click.option("--key-env", default="OPENAI_API_KEY", help="Environment variable that holds the service's key."),
        click.option("--quality", default="", help="low, medium, high, ...: what a service's image costs."),
        click.option("--format", default="", help="png, jpeg or webp, of a service's file."),
        click.option("--concurrency", default=4, type=click.IntRange(1), help="Requests on their way to a service."),
        click.option("--per-minute", default=0.0, type=click.FloatRange(0), help="Most requests; 0 = no limit."),
        click.option("--timeout", default=300.0, type=click.FloatRange(0, min_open=True), help="Seconds for an image."),
        click.option("--retries", default=6, type=click.IntRange(0), help="Of a request that was not worked on."),
        click.option("--max-cost", type=click.FloatRange(0), help="Of all that OUT was asked for; nothing beyond."),
        click.option("--prices", type=FILE, show_default="facecheck's", help="Table of prices, in place of its own."),
        click.option("--retry-lost", is_flag=True, help="Ask again for what was lost and perhaps paid for."),
    )):  # fmt: skip
        command = option(command)
    return command


SERVICE_ONLY = frozenset({
    "base_url", "key_env", "quality", "format", "concurrency", "per_minute", "timeout", "retries", "max_cost", "prices",
    "retry_lost",
})  # fmt: skip


def refuse(names: Sequence[str], why: str) -> None:
    """Options that would have no effect are mistakes.

    Raises:
        GenerationError: one of them was given.
    """
    context = click.get_current_context()
    given = [each for each in context.command.params if each.name in names]
    for option in given:
        if context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE:
            raise GenerationError(f"{option.opts[0]} has no use with {why}")


def service_settings_of(
    model: str, size: tuple[int, int], licence: str, key_env: str, prices: Path | None, **options: Any
) -> ServiceSettings:
    """Options -> ServiceSettings.

    Raises:
        GenerationError: there is no key for OpenAI, or an option that no service knows.
    """
    refuse([name for name in MODEL_OPTIONS if name not in SHARED], "an image service")
    key = os.environ.get(key_env, "")
    if not key and not options["base_url"]:
        raise GenerationError(f"${key_env} is empty: put the key there, or name another server with --base-url")
    pixels = f"{size[0]}x{size[1]}" if any(size) else ""
    table = Prices.load(prices or PRICES)
    own = {name: value for name, value in options.items() if name in SERVICE_ONLY}
    return ServiceSettings(model.removeprefix(PREFIX), key=key, size=pixels, licence=licence, prices=table, **own)


def settings_of(model: str, mode: str, size: tuple[int, int], dtype: str | None, **options: Any) -> Settings:
    """Options -> Settings.

    Raises:
        GenerationError: an option that only services know.
    """
    refuse(list(SERVICE_ONLY), "a model that runs here")
    own = {name: value for name, value in options.items() if name not in SERVICE_ONLY}
    own |= {name: str(own[name] or "") for name in ("lora", "face_adapter", "face")}
    return Settings(model, mode=mode, width=size[0], height=size[1], dtype=dtype or "", **own)
