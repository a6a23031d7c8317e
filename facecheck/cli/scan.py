"""The command `facecheck scan`."""

import os
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecheck.cli import options
from facecheck.cli.options import FOUND, INTERRUPTED, UNREADABLE
from facecheck.errors import FacecheckError
from facecheck.result import Verdict
from facecheck.scan.inputs import Inputs
from facecheck.settings import CheckerSettings

if TYPE_CHECKING:
    from facecheck.scan.scanner import Outcome, Scanner

EXAMPLES = """\b
Examples:
  facecheck scan photos                              every file in photos -> scan.jsonl
  facecheck scan photos --out photos.parquet         a table for pandas, DuckDB, Spark
  facecheck scan "in/**/*.jpg" clips --every 0.5     patterns, and two frames a second of videos
  find . -name "*.png" -print0 | facecheck scan --files-from -
  facecheck scan photos --summary report             report/summary.html with the most suspicious faces

Run the same command again to go on after an interruption, or when files were added or changed: what is finished and
unchanged is skipped. Exit code: 0 whatever the verdicts, 1 if a file could not be read, 2 for wrong usage, 3 if
--fail-on matched, 130 after Ctrl-C."""


@dataclass
class Tally:
    """Outcomes, counted."""

    verdicts: Counter[str | None] = field(default_factory=Counter)
    known: int = 0

    def add(self, outcome: "Outcome") -> None:
        """One more file."""
        self.verdicts[outcome.verdict] += 1
        self.known += outcome.known

    def __str__(self) -> str:
        counts = [f"{self.verdicts[word]} {word}" for word in Verdict if self.verdicts[word]]
        if self.verdicts[None]:
            counts.append(f"{self.verdicts[None]} could not be read")
        files = self.verdicts.total()
        return f"{files} files: {', '.join(counts) or 'nothing found'} ({self.known} known, {files - self.known} new)"


@click.command(epilog=EXAMPLES)
@click.argument("paths", nargs=-1)
@click.option("--files-from", metavar="LIST", help="Also the files in LIST, one a line or NUL between; - is stdin.")
@click.option("--glob", "globs", multiple=True, help='Of folders only files that match, such as "*.jpg"; repeatable.')
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Enter the folders in folders.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The output.  [default: scan.jsonl]")
@click.option("--format", "style", type=click.Choice(["jsonl", "parquet"]), help="By default what --out ends in.")
@click.option("--summary", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write a report.")
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
    out: Path | None,
    style: str | None,
    summary: Path | None,
    every_s: float | None,
    rescore: str | None,
    sha256: bool,
    workers: int | None,
    fail_on: Sequence[str],
    chosen: CheckerSettings,
    max_fpr: float | None,
    ray: str | None,
) -> None:
    """Judge every file in PATHS (folders, files, patterns, videos) and write one row for each.

    The rows are those of `facecheck predict --json` with the file's size and time; a file that cannot be read is a row
    with its error. JSONL is written as the scan goes; Parquet is made of it at the end, and NAME.parquet.jsonl stays.
    """
    from facecheck.scan.ledger import ScanLedger
    from facecheck.scan.rows import Settings, model_info
    from facecheck.scan.scanner import Rescore, Scanner

    if not paths and files_from is None:
        raise click.UsageError("nothing to scan: name files or folders, or use --files-from")
    target, rows = _outputs(out, style)
    inputs = Inputs(paths, globs, files_from, recursive, _own_files(target, rows, summary))
    tally = Tally()
    try:
        settings = Settings(model_info(chosen.model), max_fpr, every_s, sha256, chosen.prevalence)
        with ScanLedger(rows, settings) as ledger:
            scanner = Scanner(ledger, lambda: chosen.checker(max_fpr=max_fpr), Rescore(rescore or "nothing"), workers)
            with closing(_outcomes(scanner, inputs, ray, chosen)) as outcomes:
                for outcome in _shown(outcomes, inputs):
                    tally.add(outcome)
            _finish(ledger, target, summary)
    except FacecheckError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or rows}: {error.strerror}") from error
    except KeyboardInterrupt:
        click.echo(f"\nStopped. {tally} -> {rows}. The same command goes on from here.", err=True)
        _leave(INTERRUPTED)
    click.echo(f"{tally} -> {target}", err=True)
    if any(tally.verdicts[word] for word in fail_on):
        sys.exit(FOUND)
    sys.exit(UNREADABLE if tally.verdicts[None] else 0)


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


def _outputs(out: Path | None, style: str | None) -> tuple[Path, Path]:
    """The file that was asked for, and the ledger (the same, for JSONL)."""
    from facecheck.scan.parquet import arrow

    target = out or Path(f"scan.{style or 'jsonl'}")
    if (style or target.suffix.lower().lstrip(".")) != "parquet":
        return target, target
    try:
        arrow()  # Now, not after hours of work.
    except FacecheckError as error:
        raise click.ClickException(str(error)) from error
    return target, target.with_name(f"{target.name}.jsonl")


def _own_files(target: Path, rows: Path, summary: Path | None) -> frozenset[str]:
    from facecheck.review.decisions import decisions_path

    own = [target, rows, decisions_path(target)]
    if summary is not None:
        from facecheck.review.summary import REVIEW_FILES

        own += [summary / name for name in REVIEW_FILES]
    return frozenset(map(os.path.abspath, own))


def _finish(ledger: Any, target: Path, summary: Path | None) -> None:
    if target != ledger.path and not (target.exists() and target.stat().st_mtime_ns >= ledger.path.stat().st_mtime_ns):
        from facecheck.scan.parquet import write_parquet

        write_parquet(ledger, target)
    if summary is not None:
        from facecheck.review.decisions import Decisions, decisions_path
        from facecheck.review.summary import summarise, write_review

        decisions = Decisions(decisions_path(target))
        decisions.refresh()
        write_review(summarise(ledger.rows(), decisions.latest), summary)


def _shown(outcomes: Iterator["Outcome"], inputs: Inputs) -> Iterable["Outcome"]:
    """With a bar on a terminal: files a second and time left."""
    if not sys.stderr.isatty():
        return outcomes
    try:
        from tqdm import tqdm
    except ImportError:
        click.echo('No progress bar without tqdm: pip install "facecheck[scan]"', err=True)
        return outcomes
    bar = tqdm(outcomes, unit=" files", desc="facecheck", dynamic_ncols=True)
    if inputs.can_repeat:
        threading.Thread(target=_count, args=(bar, inputs), daemon=True).start()
    return bar  # type: ignore[no-any-return]


def _count(bar: Any, inputs: Inputs) -> None:
    """How many there are becomes known while the first are judged already."""
    with suppress(OSError):  # Shown without time left, then; the scan itself says what is wrong.
        bar.total = sum(1 for _ in inputs)
