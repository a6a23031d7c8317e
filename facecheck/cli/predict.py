"""The commands that judge pictures: `facecheck predict`, and `facecheck explain` for one of them."""

import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click

from facecheck.cli import options
from facecheck.cli.options import FOUND, UNREADABLE
from facecheck.explain import wording
from facecheck.files import printable, write_atomically
from facecheck.result import Prediction, Verdict
from facecheck.scan.inputs import Inputs, is_address
from facecheck.scan.tables import COLUMNS, FACE, PER, PICTURE, csv_cells, lines
from facecheck.settings import CheckerSettings

LONG_LIST = 20
COLOURS = {
    Verdict.REAL: "green",
    Verdict.FAKE: "red",
    Verdict.UNCERTAIN: "yellow",
    Verdict.NO_FACE: "blue",
    None: "magenta",
}


@click.command(
    cls=options.Command,
    groups={
        "What is printed": ("style", "per", "save_annotated"),
        "How it is judged": ("stability", *options.MODEL_GROUP),
    },
    examples={
        "facecheck predict photo.jpg": "one picture, in words",
        "facecheck predict --csv --per face holiday/ > faces.csv": "a table of all faces in a folder",
        "facecheck predict --fail-on fake upload.jpg": "exit with 3 if it looks generated",
    },
)
@click.argument("photos", nargs=-1, required=True)
@click.option("--json", "style", flag_value="json", help="One JSON object a line for each picture.")
@click.option("--csv", "style", flag_value="csv", help="A CSV table with a header.")
@click.option(
    "--per", type=click.Choice(PER), default=PICTURE, show_default=True, help="What a line of --csv stands for."
)
@click.option(
    "--save-annotated",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each picture with its faces framed, as PNG.",
)
@options.fail_on
@options.runs_a_model
@options.max_fpr
@click.option("--stability", is_flag=True, help="Doubt answers that change when the picture is saved or resized again.")
def predict(
    photos: Sequence[str],
    style: str | None,
    per: str,
    save_annotated: Path | None,
    fail_on: Sequence[str],
    chosen: CheckerSettings,
    max_fpr: float | None,
    stability: bool,
) -> None:
    """Judge PHOTOS: files, folders (every picture in them), patterns, or - for a picture on standard input.

    Files in folders that are no pictures are counted and left out. Exit code: 0 whatever the verdicts, 1 if an input
    could not be read, 2 for wrong usage, 3 if --fail-on matched.
    """
    if per == FACE and style != "csv":
        raise click.UsageError("--per face is for --csv")
    inputs = Inputs(photos, pictures_only=True, absolute=False)
    options.warn_misspelt(inputs)
    names = list(inputs)
    results = chosen.checker(max_fpr=max_fpr, stability=stability).stream(opened(names))
    verdicts, unreadable, budget = set(), False, None
    with _progress(results, len(names)) as shown:
        for prediction in _written(shown, style or ("table" if sys.stdout.isatty() else "lines"), per):
            verdicts.add(prediction.verdict)
            unreadable |= prediction.error is not None
            budget = prediction.budget
            if save_annotated is not None and prediction.error is None:
                _save(prediction, save_annotated)
    if budget is not None:
        # Not among the results: standard output may be a table that a program reads.
        click.echo(budget.meaning, err=True)
    options.report_skipped(inputs, len(names))
    if verdicts & set(fail_on):
        sys.exit(FOUND)
    sys.exit(UNREADABLE if unreadable else 0)


def opened(inputs: Iterable[str]) -> Iterator[Any]:
    """Names as what the library reads; an address stays one, so that the library can say what it thinks of it."""
    return (sys.stdin.buffer if name == "-" else name if is_address(name) else Path(name) for name in inputs)


def _save(prediction: Prediction, folder: Path) -> None:
    """Under the name of the picture; a second one of that name gets a number."""
    if prediction.path is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    prediction.draw().save(drawn, "PNG")
    for number in itertools.count(1):
        target = folder / f"{Path(prediction.path).stem}{'' if number == 1 else f'-{number}'}.png"
        with suppress(FileExistsError):
            target.touch(exist_ok=False)
            break
    try:
        write_atomically(target, drawn.getvalue())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _progress(results: Iterator[Prediction], length: int) -> Any:
    if length < LONG_LIST or not sys.stderr.isatty():
        return nullcontext(results)
    return click.progressbar(results, length=length, label="facecheck", file=sys.stderr)


def _written(results: Iterable[Prediction], style: str, per: str) -> Iterator[Prediction]:
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
        table.writerow(COLUMNS[per])
    for prediction in results:
        if style == "csv":
            table.writerows(map(csv_cells, lines(prediction, per)))
        else:
            click.echo(
                json.dumps(prediction.to_dict(), allow_nan=False)
                if style == "json"
                else f"{printable(prediction.source)}: {printable(wording.summary(prediction))}"
            )
        sys.stdout.flush()
        yield prediction


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


@click.command(
    cls=options.Command,
    groups={"What is written": ("output", "occlusion"), "How it is judged": options.MODEL_GROUP},
    examples={
        "facecheck explain photo.jpg -o report.html": "one page that needs nothing else",
        "facecheck explain photo.jpg -o report.html -o report.json": "and the same for programs",
    },
)
@click.argument("photo")
@click.option("-o", "--output", multiple=True, help="Where the report goes, as .html or .json; may be given twice.")
@click.option("--occlusion", is_flag=True, help="A second heat map for each face; takes 65 more looks at it.")
@options.runs_a_model
@options.max_fpr
def explain(photo: str, output: Sequence[str], occlusion: bool, chosen: CheckerSettings, max_fpr: float | None) -> None:
    """Judge PHOTO (or - for standard input) and write a case report: heat maps, stability, origin, limits.

    Exit code: 0 whatever the verdict, 1 if the picture could not be read (the report says why), 2 for wrong usage.
    """
    if wrong := [path for path in output if not path.endswith((".html", ".json"))]:
        raise click.BadParameter(f"{wrong[0]!r} ends neither in .html nor in .json", param_hint="--output")
    from facecheck.explain.explanation import explain as explained
    from facecheck.explain.heatmaps import GRAD_CAM, OCCLUSION
    from facecheck.files import write_atomically

    methods = (GRAD_CAM, OCCLUSION) if occlusion else (GRAD_CAM,)
    (source,) = opened([photo])
    found = explained(source, methods=methods, checker=chosen.checker(max_fpr=max_fpr))
    for path in output:
        page = found.to_html() if path.endswith(".html") else json.dumps(found.to_dict(), indent=2) + "\n"
        write_atomically(Path(path), page.encode("utf-8", "backslashreplace"))
    click.echo(f"{printable(found.prediction.source)}: {printable(wording.summary(found.prediction))}")
    sys.exit(UNREADABLE if found.prediction.error else 0)
