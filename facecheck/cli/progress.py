"""How far a scan is: a bar on a terminal, a line now and then where there is none, and what came out in the end."""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from facecheck.result import Verdict
from facecheck.scan.inputs import Inputs

if TYPE_CHECKING:
    from facecheck.scan.scanner import Outcome

REPORT_EVERY_S = 30.0


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
