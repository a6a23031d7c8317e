"""What several commands ask and say: which model, what it runs on, its budget, and the exit codes."""

import functools
from collections.abc import Callable
from typing import Any

import click

from facecheck.engines import AUTO, ENGINES, PRECISIONS
from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.model.files import DEFAULT_MODEL
from facecheck.result import Verdict
from facecheck.settings import CheckerSettings

UNREADABLE, FOUND, INTERRUPTED = 1, 3, 130
"""Exit codes: an input could not be read, --fail-on matched, Ctrl-C."""
max_fpr = click.option(
    "--max-fpr", type=float, help="Call at most this share of photographed faces fake, such as 0.01."
)
fail_on = click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice([verdict.value for verdict in Verdict]),
    help="Exit with 3 if any picture has this verdict.",
)
OPTIONS = (
    click.option("--model", help="Name or path of a model; the default ships with the package."),
    click.option("--device", default=AUTO, show_default=True, help="auto, cpu, cuda, ..."),
    click.option("--engine", type=click.Choice(ENGINES), default=AUTO, show_default=True, help="What computes."),
    click.option(
        "--precision", type=click.Choice(PRECISIONS), default=AUTO, show_default=True, help="In what numbers."
    ),
    click.option(
        "--prevalence",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=DEFAULT_PREVALENCE,
        show_default=True,
        help="Share of generated faces among those you ask about: what an answer is worth depends on it.",
    ),
)


def runs_a_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `OPTIONS`; it is called with one argument `chosen` in their place."""

    @functools.wraps(command)
    def called(model: str | None, device: str, engine: str, precision: str, prevalence: float, **others: Any) -> Any:
        return command(chosen=CheckerSettings(model or DEFAULT_MODEL, device, engine, precision, prevalence), **others)

    return functools.reduce(lambda made, option: option(made), reversed(OPTIONS), called)
