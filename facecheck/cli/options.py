"""What several commands ask and say: which model, what it runs on, its budget, the exit codes, and how help looks."""

import errno
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from facecheck import interrupts
from facecheck.engines import AUTO, ENGINES, PRECISIONS
from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.errors import FacecheckError
from facecheck.files import printable
from facecheck.interrupts import INTERRUPTED
from facecheck.model.files import DEFAULT_MODEL
from facecheck.result import Verdict
from facecheck.scan.inputs import Inputs
from facecheck.settings import CheckerSettings

UNREADABLE, FOUND = 1, 3
"""Exit codes: an input could not be read, --fail-on matched."""


def _share(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """A number between 0 and 1, which NaN is not."""
    if value is not None and not 0 < value < 1:
        raise click.BadParameter(f"{value} is not between 0 and 1")
    return value


max_fpr = click.option(
    "--max-fpr", type=float, callback=_share, help="Call at most this share of photographed faces fake, such as 0.01."
)
fail_on = click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice([verdict.value for verdict in Verdict]),
    help="Exit with 3 if any picture has this verdict.",
)
MOST_WARNINGS, WIDTH = 5, 110
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


MODEL_GROUP = ("model", "device", "engine", "precision", "prevalence", "max_fpr")
"""The names of `OPTIONS` and `max_fpr`, for a group of their own."""


class Group(click.Group):
    """Its commands end in one line where the system or facecheck says no, and with 130 after Ctrl-C."""

    unnamed = "standard output"
    """What an error of the system is about that names no file."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """What is asked for; --help and --version are answered here."""
        _open_closed_streams()
        with _one_line(self.unnamed):
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        with _one_line(self.unnamed):
            result = super().invoke(ctx)
            sys.stdout.flush()
        return result


@contextmanager
def _one_line(unnamed: str) -> Iterator[None]:
    """What ends this block ends the program, in one line.

    Args:
        unnamed: what an error of the system is about that names no file.
    """
    try:
        with interrupts.raised():
            yield
    except KeyboardInterrupt as stopped:
        click.echo("\nStopped.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from stopped
    except FacecheckError as error:
        # Names of files are in it, and may be anything.
        raise click.ClickException("\n".join(map(printable, str(error).splitlines()))) from error
    except OSError as error:
        _give_up_output()
        if error.errno == errno.EPIPE:
            raise click.exceptions.Exit(UNREADABLE) from error
        named = printable(str(error.filename or unnamed))
        raise click.ClickException(f"{named}: {error.strerror or error}") from error


def _open_closed_streams() -> None:
    """Standard streams that were closed (`>&-`) say so when they are used, and no file takes their numbers."""
    for name, fails, mode in (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, fails), mode))


def _give_up_output() -> None:
    """What could not be written is not tried again when the interpreter ends, which would be a second message."""
    with Path(os.devnull).open("wb") as nothing, suppress(OSError, ValueError):
        os.dup2(nothing.fileno(), sys.stdout.fileno())


class Command(click.Command):
    """Its help has options in groups and ends with examples.

    Args:
        groups: headings, and the names of the options under each; those of no group come last.
        examples: command lines, and what they do.
    """

    def __init__(
        self, *args: Any, groups: Mapping[str, Sequence[str]] | None = None, examples: Mapping[str, str], **kwargs: Any
    ) -> None:
        kwargs["context_settings"] = {"max_content_width": WIDTH}
        super().__init__(*args, **kwargs)
        self.groups, self.examples = groups or {}, examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, group by group."""
        left = {
            str(one.name): record
            for one in self.get_params(ctx)
            if isinstance(one, click.Option) and (record := one.get_help_record(ctx))
        }
        for heading, names in self.groups.items():
            with formatter.section(heading):
                formatter.write_dl([left.pop(name) for name in names])
        with formatter.section("Options"):
            formatter.write_dl(list(left.values()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The notes, and then the examples."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            formatter.write_dl(list(self.examples.items()), col_max=60)


def runs_a_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `OPTIONS`; it is called with one argument `chosen` in their place."""

    @functools.wraps(command)
    def called(model: str | None, device: str, engine: str, precision: str, prevalence: float, **others: Any) -> Any:
        return command(chosen=CheckerSettings(model or DEFAULT_MODEL, device, engine, precision, prevalence), **others)

    return functools.reduce(lambda made, option: option(made), reversed(OPTIONS), called)


def warn_misspelt(inputs: Inputs) -> None:
    """Say which of the named paths are not there, and which may have been meant."""
    for name, meant in itertools.islice(inputs.misspelt(), MOST_WARNINGS):
        click.echo(f"{printable(name)}: no such file; did you mean {printable(meant)}?", err=True)


def report_skipped(inputs: Inputs, found: int) -> None:
    """Say what was left out, and where nothing was found."""
    others = f"{inputs.skipped} files that are no pictures" if inputs.skipped > 1 else "1 file that is no picture"
    if not found:
        also = f", only {others}" if inputs.skipped else ""
        click.echo(f"no picture in {', '.join(map(printable, inputs.named))}{also}", err=True)
    elif inputs.skipped:
        click.echo(f"left out {others}", err=True)
