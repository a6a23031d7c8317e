"""The command `facecheck scan`."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from facecheck.cli import options
from facecheck.cli.options import FOUND, UNREADABLE, Tally, shown
from facecheck.files import printable
from facecheck.interrupts import INTERRUPTED
from facecheck.result import Verdict
from facecheck.scan.inputs import Inputs
from facecheck.scan.tables import PER, PICTURE
from facecheck.settings import CheckerSettings

if TYPE_CHECKING:
    from facecheck.scan.ledger import ScanLedger
    from facecheck.scan.scanner import Outcome, Scanner

STYLES = ("jsonl", "csv", "parquet", "sqlite")
UNITS_S = {"m": 60, "h": 3600, "d": 86400}

WATCH_EVERY_S, WATCH_SHARE = 2.0, 10
"""Between two looks at a watched folder: so many seconds, and so many times what a look takes."""
HOOK_TIMEOUT_S = 60.0
NOTES = """Run the same command again to go on after an interruption, or when files were added or changed: what is
finished and unchanged is skipped. Exit code: 0 whatever the verdicts, 1 if a file could not be read, 2 for wrong
usage, 3 if --fail-on matched, 130 after Ctrl-C."""


@click.command(
    cls=options.Command,
    epilog=NOTES,
    groups={
        "What is scanned": ("files_from", "globs", "recursive", "since", "every_s", "watch"),
        "What is written": ("out", "style", "per", "summary", "sha256"),
        "How it goes": ("rescore", "workers", "ray", "on_fake", "log_json"),
        "How it is judged": options.MODEL_GROUP,
    },
    examples={
        "facecheck scan photos": "every picture in photos -> scan.jsonl",
        "facecheck scan photos --out photos.parquet": "a table for pandas, DuckDB, Spark",
        'facecheck scan "in/**/*.jpg" clips --every 0.5': "patterns, and two frames a second of videos",
        "facecheck scan --files-from - --out list.csv": "the files that find -print0 names",
        "facecheck scan inbox --watch --on-fake ./alarm.sh": "until Ctrl-C",
    },
)
@click.argument("paths", nargs=-1)
@click.option("--files-from", metavar="LIST", help="Also the files in LIST, one a line or NUL between; - is stdin.")
@click.option("--glob", "globs", multiple=True, help='Of folders only files that match, such as "*.jpg"; repeatable.')
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Enter the folders in folders.")
@click.option("--since", metavar="WHEN", help="Only files changed since a day (2026-11-28), or in the last 12h or 7d.")
@click.option("--watch", is_flag=True, help="Go on with what is added or changed, until Ctrl-C.")
@click.option("--on-fake", metavar="COMMAND", help="Run it with each new fake's path; its row comes on standard input.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The output.  [default: scan.jsonl]")
@click.option("--format", "style", type=click.Choice(STYLES), help="By default what --out ends in.")
@click.option(
    "--per", type=click.Choice(PER), default=PICTURE, show_default=True, help="What a line of a CSV stands for."
)
@click.option("--summary", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write a report.")
@click.option("--log-json", is_flag=True, help="Progress as one JSON object a line, on standard error.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Of videos one frame every so often.  [default: 1, less for short ones]",
)
@click.option(
    "--rescore",
    type=click.Choice(["others", "errors", "all"]),
    help="Do again: rows of another model or other settings, unreadable files, or all.",
)
@click.option("--sha256", is_flag=True, help="Put the sha256 of each file into its row.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Threads that read and judge, without --ray.  [default: by the engine]",
)
@options.fail_on
@options.runs_a_model
@options.max_fpr
@click.option(
    "--ray", metavar="ADDRESS", help="Work on a Ray cluster that sees the same files: auto, HOST:PORT, local."
)
def scan(
    paths: Sequence[str],
    files_from: str | None,
    globs: Sequence[str],
    recursive: bool,
    since: str | None,
    watch: bool,
    on_fake: str | None,
    out: Path | None,
    style: str | None,
    per: str,
    summary: Path | None,
    log_json: bool,
    every_s: float | None,
    rescore: str | None,
    sha256: bool,
    workers: int | None,
    fail_on: Sequence[str],
    chosen: CheckerSettings,
    max_fpr: float | None,
    ray: str | None,
) -> None:
    """Judge every picture and video in PATHS (folders, files, patterns) and write one row for each.

    The rows are those of `facecheck predict --json` with the file's size and time; a file that cannot be read is a row
    with its error, and files in folders that are no pictures are left out. JSONL is written as the scan goes; the other
    formats are made of it at the end, and NAME.jsonl stays beside them.
    """
    from facecheck.scan.ledger import ScanLedger
    from facecheck.scan.rows import Settings, model_info
    from facecheck.scan.scanner import Rescore, Scanner

    _refuse_what_cannot_go_together(paths, files_from, watch, ray)
    target, rows, style = _outputs(out, style)
    own, tally = _own_files(target, rows, summary), Tally()
    inputs = Inputs(paths, globs, files_from, recursive, own, pictures_only=True, since_ns=_since(since))
    options.warn_misspelt(inputs)
    try:
        settings = Settings(model_info(chosen.model), max_fpr, every_s, sha256, chosen.prevalence)
        with ScanLedger(rows, settings) as ledger:
            scanner = Scanner(ledger, lambda: chosen.checker(max_fpr=max_fpr), Rescore(rescore or "nothing"), workers)
            with closing(_outcomes(scanner, inputs, ray, chosen)) as outcomes:
                told = shown(outcomes, inputs, tally, log_json=log_json)
                _count(chain(told, _watched(scanner, inputs) if watch else ()), ledger, tally, _Hook(on_fake))
            tally.vanished += inputs.vanished
            _finish(ledger, target, summary, style, per)
    except KeyboardInterrupt:
        click.echo(f"\nStopped. {tally} -> {rows}. The same command goes on from here.", err=True)
        _leave(INTERRUPTED)
    _conclude(tally, target, inputs, fail_on)


def _count(outcomes: Iterable["Outcome"], ledger: "ScanLedger", tally: Tally, hook: "_Hook") -> None:
    for outcome in outcomes:
        tally.add(outcome)
        hook(outcome, ledger)


def _refuse_what_cannot_go_together(paths: Sequence[str], files_from: str | None, watch: bool, ray: str | None) -> None:
    if not paths and files_from is None:
        raise click.UsageError("nothing to scan: name files or folders, or use --files-from")
    if watch and (files_from == "-" or ray is not None):
        raise click.UsageError("--watch goes with folders and files, without --ray and --files-from -")


def _conclude(tally: Tally, target: Path, inputs: Inputs, fail_on: Sequence[str]) -> NoReturn:
    """Say what came out, and exit with the code for it."""
    click.echo(f"{tally} -> {target}", err=True)
    options.report_skipped(inputs, tally.verdicts.total())
    if any(tally.verdicts[word] for word in fail_on):
        sys.exit(FOUND)
    sys.exit(UNREADABLE if tally.verdicts[None] or tally.vanished else 0)


def _leave(code: int) -> None:
    """Exit, also while a thread is in the middle of a file.

    A thread that comes back from C++ while the interpreter ends aborts the process (before Python 3.14: cpython#87135).
    """
    from facecheck.scan.scanner import PREFETCHING

    if any(thread.is_alive() and thread.name.startswith(PREFETCHING) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _outcomes(scanner: "Scanner", inputs: Inputs, ray: str | None, chosen: CheckerSettings) -> Generator["Outcome"]:
    if ray is None:
        yield from scanner.run(inputs)
        return
    from facecheck.scan.cluster import Cluster

    with Cluster(ray, scanner.ledger.settings, chosen) as cluster:
        yield from cluster.run(scanner, inputs)


def _watched(scanner: "Scanner", inputs: Inputs) -> Iterator["Outcome"]:
    """What is new, each time that somebody looked, until Ctrl-C.

    The folders are listed again: that also works where no system tells of changes, as over a network. A file that was
    still being written is judged again once it is whole.
    """
    click.echo("Watching; Ctrl-C ends.", err=True)
    pause = WATCH_EVERY_S
    while _slept(pause):
        scanner.ledger.index.release()
        started = time.monotonic()
        with closing(scanner.run(inputs)) as outcomes:
            for outcome in outcomes:
                if not outcome.known:
                    click.echo(f"{printable(outcome.path)}: {outcome.verdict or 'could not be read'}", err=True)
                    yield outcome
        pause = max(WATCH_EVERY_S, WATCH_SHARE * (time.monotonic() - started))


def _slept(seconds: float) -> bool:
    """Whether nobody pressed Ctrl-C meanwhile."""
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        return False
    return True


class _Hook:
    """Runs a command for each new fake, without a shell; one that fails is said, and stops nothing."""

    def __init__(self, command: str | None) -> None:
        self.words = shlex.split(command or "")

    def __call__(self, outcome: "Outcome", ledger: "ScanLedger") -> None:
        if not self.words or outcome.known or outcome.verdict != Verdict.FAKE:
            return
        row = json.dumps(ledger.row(outcome.path)).encode()
        try:
            subprocess.run([*self.words, outcome.path], input=row, timeout=HOOK_TIMEOUT_S, check=True)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            click.echo(f"--on-fake: {error}", err=True)


def _since(words: str | None) -> int | None:
    """Nanoseconds after 1970 of a day, a time, or of so long ago."""
    if words is None:
        return None
    try:
        if words[-1:] in UNITS_S and words[:-1].isdigit():
            return time.time_ns() - int(words[:-1]) * UNITS_S[words[-1]] * 10**9
        return int(datetime.fromisoformat(words).timestamp()) * 10**9
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{words!r} is no day (2026-11-28), no time (2026-11-28T12:00) and no span (30m, 12h, 7d)",
            param_hint="--since",
        ) from None


def _outputs(out: Path | None, style: str | None) -> tuple[Path, Path, str]:
    """The file that was asked for, the ledger (the same, for JSONL), and the format."""
    from facecheck.scan.tables import arrow

    target = out or Path(f"scan.{style or 'jsonl'}")
    style = style or target.suffix.lower().lstrip(".")
    if style not in STYLES:
        raise click.ClickException(
            f"{target} is not the output of a scan by its ending; end it in .{', .'.join(STYLES)}, or say --format"
        )
    if style == "jsonl":
        return target, target, style
    if style == "parquet":
        arrow()  # Now, not after hours of work.
    return target, target.with_name(f"{target.name}.jsonl"), style


def _own_files(target: Path, rows: Path, summary: Path | None) -> frozenset[str]:
    from facecheck.review.decisions import decisions_path

    own = [target, rows, decisions_path(target)]
    if summary is not None:
        from facecheck.review.summary import REVIEW_FILES

        own += [summary / name for name in REVIEW_FILES]
    return frozenset(map(os.path.abspath, own))


def _finish(ledger: "ScanLedger", target: Path, summary: Path | None, style: str, per: str) -> None:
    from facecheck.scan.tables import WRITERS, write_csv

    ledger.require_in_place()
    if style == "csv":
        write_csv(ledger, target, per)
    elif style in WRITERS and not (target.exists() and target.stat().st_mtime_ns >= ledger.path.stat().st_mtime_ns):
        WRITERS[style](ledger, target)
    if summary is not None:
        from facecheck.review.decisions import Decisions, decisions_path
        from facecheck.review.summary import summarise, write_review

        decisions = Decisions(decisions_path(target))
        decisions.refresh()
        write_review(summarise(ledger.rows(), decisions.latest), summary)
