"""The command `facecheck review`."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from facecheck.cli import options
from facecheck.settings import CheckerSettings

if TYPE_CHECKING:
    from facecheck.review.decisions import Decisions
    from facecheck.review.table import ReviewTable


@click.command(
    cls=options.Command,
    groups={
        "The page": ("port", "reviewer", "browser"),
        "Files, without the page": ("csv_file", "labels", "export"),
        "For heat maps": options.MODEL_GROUP[:-1],
    },
    examples={
        "facecheck review scan.jsonl": "open the page",
        "facecheck review photos.parquet --csv decisions.csv --labels photos/manifest.csv": "what was decided",
    },
)
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page.  [default: any that is free]")
@click.option("--reviewer", metavar="NAME", help="Who decides, unless the page says otherwise.  [default: the user]")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page.")
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all decisions, and end."
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was called generated or genuine for `python -m training prepare`, into a folder above it; end.",
)
@click.option(
    "--export", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write the summary; end."
)
@options.runs_a_model
def review(
    output: Path,
    port: int,
    reviewer: str | None,
    browser: bool,
    csv_file: Path | None,
    labels: Path | None,
    export: Path | None,
    chosen: CheckerSettings,
) -> None:
    """Look through OUT, the output of a scan, in the browser, and decide about its files.

    The page is served on this machine alone, to whoever has its address. Decisions are saved at once, in
    OUT.decisions.jsonl, and hold for the file as it was scanned. The model is loaded for heat maps only.
    """
    from facecheck.review.decisions import Decisions, decisions_path
    from facecheck.review.filters import rules_of
    from facecheck.review.table import ReviewTable
    from facecheck.scan.ledger import ledger_path

    ledger = ledger_path(output)
    decisions = Decisions(decisions_path(output))
    table = ReviewTable(ledger, lambda sha256: rules_of(chosen.model, sha256))
    if csv_file or labels or export:
        _write(table, decisions, csv_file, labels, export)
        return
    _serve(table, decisions, port, reviewer or _user(), browser, chosen)


def _write(
    table: "ReviewTable", decisions: "Decisions", csv_file: Path | None, labels: Path | None, export: Path | None
) -> None:
    from facecheck.files import write_atomically
    from facecheck.review.decisions import csv_of, labels_of
    from facecheck.review.summary import summarise, write_review

    decisions.refresh()
    if csv_file:
        write_atomically(csv_file, csv_of(table.rows(), decisions.latest))
        click.echo(f"{csv_file}: written", err=True)
    if labels:
        data, count = labels_of(table.rows(), decisions.latest, Path(os.path.abspath(labels)).parent)
        write_atomically(labels, data)
        click.echo(f"{labels}: {count} pictures", err=True)
    if export:
        write_review(summarise(table.rows(), decisions.latest), export)
        click.echo(f"{export}: written", err=True)


def _serve(
    table: "ReviewTable", decisions: "Decisions", port: int, reviewer: str, browser: bool, chosen: CheckerSettings
) -> None:
    import webbrowser

    from facecheck.review.pictures import Pictures
    from facecheck.review.server import Desk, make_server

    server, address = make_server(Desk(table, decisions, Pictures(chosen.checker), reviewer), port)
    click.echo(f"{table.count} files: {address} (Ctrl-C ends)", err=True)
    try:
        with _doorway(address) if browser else nullcontext("") as door:
            if door:
                webbrowser.open(door)
            server.serve_forever()
    except KeyboardInterrupt:
        click.echo(f"\n{decisions.path} has every decision.", err=True)
    finally:
        server.server_close()


@contextmanager
def _doorway(address: str) -> Iterator[str]:
    """The address of a file of this user that leads on: everybody on the machine sees what browsers are called with."""
    with TemporaryDirectory(prefix="facecheck-") as folder:
        page = Path(folder, "review.html")
        page.write_text(f'<meta http-equiv="refresh" content="0; url={address}">', encoding="ascii")
        yield page.as_uri()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # A container may have no name for its user.
        return "reviewer"
