"""The command `facecheck predict`."""

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from facecheck.cli import options
from facecheck.cli.options import FOUND, UNREADABLE
from facecheck.errors import FacecheckError
from facecheck.explain import wording
from facecheck.files import printable, spreadsheet_cell
from facecheck.result import Prediction, Verdict
from facecheck.settings import CheckerSettings

LONG_LIST = 20
COLOURS = {
    Verdict.REAL: "green",
    Verdict.FAKE: "red",
    Verdict.UNCERTAIN: "yellow",
    Verdict.NO_FACE: "blue",
    None: "magenta",
}
CSV_COLUMNS = ("source", "verdict", "p_fake", "faces", "reasons", "error", "file_says")


@click.command()
@click.argument("photos", nargs=-1, required=True)
@click.option("--json", "style", flag_value="json", help="One JSON object a line for each picture.")
@click.option("--csv", "style", flag_value="csv", help="A CSV table with a header.")
@options.fail_on
@options.runs_a_model
@options.max_fpr
@click.option("--stability", is_flag=True, help="Doubt answers that change when the picture is saved or resized again.")
def predict(
    photos: Sequence[str],
    style: str | None,
    fail_on: Sequence[str],
    chosen: CheckerSettings,
    max_fpr: float | None,
    stability: bool,
) -> None:
    """Judge PHOTOS: files, folders (every file in them), or - for a picture on standard input.

    Exit code: 0 whatever the verdicts, 1 if an input could not be read, 2 for wrong usage, 3 if --fail-on matched.
    """
    inputs = list(_inputs(photos))
    try:
        results = chosen.checker(max_fpr=max_fpr, stability=stability).stream(opened(inputs))
    except FacecheckError as error:
        raise click.ClickException(str(error)) from error
    verdicts, unreadable, budget = set(), False, None
    with _progress(results, len(inputs)) as shown:
        for prediction in _written(shown, style or ("table" if sys.stdout.isatty() else "lines")):
            verdicts.add(prediction.verdict)
            unreadable |= prediction.error is not None
            budget = prediction.budget
    if budget is not None:
        # Not among the results: standard output may be a table that a program reads.
        click.echo(budget.meaning, err=True)
    if verdicts & set(fail_on):
        sys.exit(FOUND)
    sys.exit(UNREADABLE if unreadable else 0)


def _inputs(photos: Iterable[str]) -> Iterator[str]:
    """Folders become all their files (a wrong extension is no reason to look away) but the hidden ones.

    A folder that cannot be listed stays itself, and becomes an error.
    """
    for photo in photos:
        if not os.path.isdir(photo):
            yield photo
            continue
        closed: list[OSError] = []
        for folder, subfolders, names in os.walk(photo, onerror=closed.append):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            yield from (os.path.join(folder, name) for name in sorted(names) if not name.startswith("."))
        yield from (str(error.filename) for error in closed)


def opened(inputs: Iterable[str]) -> Iterator[Any]:
    return (sys.stdin.buffer if name == "-" else Path(name) for name in inputs)


def _progress(results: Iterator[Prediction], length: int) -> Any:
    if length < LONG_LIST or not sys.stderr.isatty():
        return nullcontext(results)
    return click.progressbar(results, length=length, label="facecheck", file=sys.stderr)


def _written(results: Iterable[Prediction], style: str) -> Iterator[Prediction]:
    """Pass the results on, printing each (the table comes at the end, when its widths are known)."""
    if style == "table":
        seen: list[Prediction] = []
        try:
            for prediction in results:
                seen.append(prediction)
                yield prediction
        finally:
            _print_table(seen)
        return
    table = csv.writer(sys.stdout)
    if style == "csv":
        table.writerow(CSV_COLUMNS)
    for prediction in results:
        if style == "csv":
            table.writerow(_csv_row(prediction))
        else:
            click.echo(
                json.dumps(prediction.to_dict())
                if style == "json"
                else f"{printable(prediction.source)}: {printable(wording.summary(prediction))}"
            )
        sys.stdout.flush()
        yield prediction


def _csv_row(prediction: Prediction) -> list[object]:
    score = "" if prediction.p_fake is None else f"{prediction.p_fake:.4f}"
    return [
        spreadsheet_cell(prediction.source),
        prediction.verdict or "",
        score,
        len(prediction.faces),
        " ".join(prediction.reasons),
        spreadsheet_cell(prediction.error or ""),
        "; ".join(wording.file_says(prediction)),
    ]


def _print_table(predictions: Sequence[Prediction]) -> None:
    width = min(max((len(printable(p.source)) for p in predictions), default=0), 60)
    for prediction in predictions:
        name = printable(prediction.source)
        name = name if len(name) <= width else f"...{name[3 - width :]}"
        score = "    " if prediction.p_fake is None else f"{prediction.p_fake:.2f}"
        note = prediction.verdict.meaning if prediction.verdict else printable(wording.problem(prediction))
        note += f" ({', '.join(prediction.reasons)})" if prediction.reasons else ""
        note += "".join(f"; {said}" for said in wording.file_says(prediction))
        verdict = click.style(f"{prediction.verdict or 'unreadable':<10}", fg=COLOURS[prediction.verdict], bold=True)
        click.echo(f"{name:<{width}}  {verdict}  {score}  {len(prediction.faces):>2} face(s)  {note}")
