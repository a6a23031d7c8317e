"""What several commands ask and say: which model, what it runs on, its budget, how help looks, how far the work is."""

import errno
import functools
import itertools
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecheck import interrupts
from facecheck.engines import AUTO, ENGINES, PRECISIONS
from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.errors import FacecheckError
from facecheck.files import printable
from facecheck.interrupts import INTERRUPTED
from facecheck.model import DEFAULT_MODEL
from facecheck.result import Verdict
from facecheck.scan.inputs import Inputs
from facecheck.settings import CheckerSettings

if TYPE_CHECKING:
    from facecheck.scan.scanner import Outcome

UNREADABLE, FOUND = 1, 3
"""Exit codes: an input could not be read, --fail-on matched."""
MOST_WARNINGS, WIDTH = 5, 110
REPORT_EVERY_S = 30.0


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
    mistakes: tuple[type[Exception], ...] = (FacecheckError,)
    """What a person can mend: their text is all that is shown."""
    when_full = ""
    """What is said besides where a disk is full."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """What is asked for; --help and --version are answered here."""
        _open_closed_streams()
        with self._one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        with self._one_line():
            result = super().invoke(ctx)
            sys.stdout.flush()
        return result

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """What ends this block ends the program, in one line."""
        try:
            with interrupts.raised():
                yield
        except KeyboardInterrupt as stopped:
            click.echo("\nStopped.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from stopped
        except self.mistakes as error:
            # Names of files are in it, and may be anything.
            raise self._told("\n".join(map(printable, str(error).splitlines())), error) from error
        except OSError as error:
            _give_up_output()
            if error.errno == errno.EPIPE:
                raise click.exceptions.Exit(UNREADABLE) from error
            named = printable(str(error.filename or self.unnamed))
            raise self._told(f"{named}: {error.strerror or error}", error) from error

    def _told(self, message: str, error: BaseException | None) -> click.ClickException:
        while error and not (isinstance(error, OSError) and error.errno == errno.ENOSPC):
            error = error.__cause__
        return click.ClickException(message + self.when_full if error else message)


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


@dataclass
class Tally:
    """Outcomes, counted."""

    verdicts: Counter[str | None] = field(default_factory=Counter)
    known: int = 0
    vanished: int = 0

    def add(self, outcome: "Outcome") -> None:
        """One more file."""
        if outcome.vanished:
            self.vanished += 1
            return
        self.verdicts[outcome.verdict] += 1
        self.known += outcome.known

    def __str__(self) -> str:
        counts = [f"{self.verdicts[word]} {word}" for word in Verdict if self.verdicts[word]]
        if self.verdicts[None]:
            counts.append(f"{self.verdicts[None]} could not be read")
        if self.vanished:
            counts.append(f"{self.vanished} vanished before they were read")
        files = self.verdicts.total()
        return f"{files} files: {', '.join(counts) or 'nothing found'} ({self.known} known, {files - self.known} new)"


def shown(
    outcomes: Iterator["Outcome"], inputs: Inputs, tally: Tally, *, log_json: bool = False
) -> Iterable["Outcome"]:
    """The outcomes; meanwhile it is said how far they are.

    Args:
        tally: of the outcomes so far; whoever takes them counts.
        log_json: one JSON object a line, also on a terminal.
    """
    if log_json or not sys.stderr.isatty():
        return _reported(outcomes, Report(inputs, tally, log_json))
    try:
        from tqdm import tqdm
    except ImportError:
        click.echo('No progress bar without tqdm: pip install "facecheck[scan]"', err=True)
        return outcomes
    bar = tqdm(outcomes, unit=" files", desc="facecheck", dynamic_ncols=True)
    _count_in_background(bar, inputs)
    return bar  # type: ignore[no-any-return]


class Report:
    """A line every 30 seconds, from a thread: also while one file takes long."""

    def __init__(self, inputs: Inputs, tally: Tally, log_json: bool) -> None:
        self.inputs, self.tally, self.log_json, self.total = inputs, tally, log_json, 0
        self.started, self.over = time.monotonic(), threading.Event()

    def run(self) -> None:
        """Until `over` is set."""
        while not self.over.wait(REPORT_EVERY_S):
            click.echo(self.line(), err=True)

    def line(self) -> str:
        """Files done and in all, files a second, seconds left, files that could not be read."""
        done, known, took = self.tally.verdicts.total(), self.tally.known, time.monotonic() - self.started
        # Known files take no time: they say nothing of what is left.
        rate = (done - known) / took if took else 0.0
        left = (self.total - done) / rate if rate and self.total >= done else None
        values = {"done": done, "total": self.total or None, "files_per_s": round(rate, 2), "known": known}
        values |= {"seconds_left": None if left is None else round(left), "errors": self.tally.verdicts[None]}
        if self.log_json:
            return json.dumps(values)
        of = f" of {self.total}" if self.total else ""
        time_left = "" if left is None else f", {left / 60:.0f} min left"
        return f"{done}{of} files, {rate:.1f} a second{time_left}, {values['errors']} could not be read"


def _reported(outcomes: Iterator["Outcome"], report: Report) -> Iterator["Outcome"]:
    _count_in_background(report, report.inputs)
    threading.Thread(target=report.run, daemon=True).start()
    try:
        yield from outcomes
    finally:
        report.over.set()
    if report.log_json:
        click.echo(report.line(), err=True)


def _count_in_background(shows: Any, inputs: Inputs) -> None:
    """How many there are becomes known while the first are judged already."""
    if inputs.can_repeat:
        # A copy: each iteration counts what it leaves out.
        threading.Thread(target=_count, args=(shows, replace(inputs)), daemon=True).start()


def _count(shows: Any, inputs: Inputs) -> None:
    with suppress(OSError):  # Shown without time left, then; the scan itself says what is wrong.
        shows.total = sum(1 for _ in inputs)
