"""`python -m demo feedback list | review | export`.

An export is a folder that `python -m training prepare` reads: manifest.csv beside real/ and fake/.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path

import click

from demo.feedback.store import LABELS, Objection, Store
from demo.settings import Settings, default_store
from facecheck.files import write_atomically

SOURCE = "reality-check"
COLUMNS = ("file", "label", "source", "generator", "licence", "group", "created", "objected_to", "p_fake")
OWN_NAME = re.compile(r"objection-\d{6,}\.(jpg|png)")
ANSWERS = {"r": "real", "f": "fake", "n": "rejected"}
STORE = click.option(
    "--store", "folder", type=click.Path(file_okay=False, path_type=Path), default=default_store,
    help="Folder of the objections.",
)  # fmt: skip


@click.group()
def feedback() -> None:
    """What visitors objected to, with their consent."""


@feedback.command("list")
@STORE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_objections(folder: Path, as_json: bool) -> None:
    """Print every objection: a case with what was said on both sides, and its file."""
    found = _store(folder).all()
    for objection in found:
        click.echo(json.dumps(_plain(objection)) if as_json else f"{_line(objection)}  file: {objection.path}")
    if not found and not as_json:
        click.echo(f"no objections in {folder}")


@feedback.command()
@STORE
@click.argument("identity", metavar="[ID]", type=int, required=False)
@click.option("--decide", type=click.Choice(["real", "fake", "rejected", "open"]), help="Decide ID without asking.")
@click.option("--delete", is_flag=True, help="Delete ID and its picture.")
def review(folder: Path, identity: int | None, decide: str | None, delete: bool) -> None:
    """Look at the open objections one by one, or decide on ID."""
    store = _store(folder)
    if identity is None:
        if decide or delete:
            raise click.UsageError("--decide and --delete need an ID; `feedback list` prints them")
        _ask(store)
        return
    if not (decide or delete):
        raise click.UsageError("say --decide or --delete")
    done = store.remove(identity) if delete else store.decide(identity, decide or "open")
    if not done:
        raise click.ClickException(f"there is no objection {identity} in {folder}")
    click.echo(f"{identity}: {'deleted' if delete else decide}")


@feedback.command()
@STORE
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def export(folder: Path, out: Path) -> None:
    """Copy what was reviewed as real or fake into OUT, for `python -m training prepare OUT DATA`."""
    store = _store(folder)
    if not store.exists:  # An export of nothing would remove what an earlier one wrote.
        raise click.ClickException(f"there is no store in {folder}; name it with --store")
    count = write_export(store.all(), out)
    click.echo(f"{out}: {count} pictures and manifest.csv; next: python -m training prepare {out} DATA")


def _ask(store: Store) -> None:
    for objection in (one for one in store.all() if one.decision == "open"):
        click.echo(f"\n{_line(objection)}\n  picture  {objection.path}")
        answer = click.prompt(
            "  real (r), fake (f), not usable (n), delete (d), skip (s), quit (q)",
            type=click.Choice(["r", "f", "n", "d", "s", "q"]), show_choices=False,
        )  # fmt: skip
        if answer == "q":
            return
        if answer == "d":
            store.remove(objection.id)
        elif answer in ANSWERS:
            store.decide(objection.id, ANSWERS[answer])


def _store(folder: Path) -> Store:
    return Store(folder, Settings.feedback_mb << 20)


def _line(objection: Objection) -> str:
    score = objection.prediction["p_fake"]
    said = f"{objection.prediction['verdict']} {'' if score is None else f'{score:.2f}'}".strip()
    # Comments come from strangers: no control characters reach the terminal.
    comment = "".join(letter if letter.isprintable() else " " for letter in objection.comment)
    return (
        f"{objection.id:>5}  {objection.created}  {objection.decision:<8}  model: {said}  "
        f"visitor: {LABELS[objection.label].lower()}  {comment}".rstrip()
    )


def _plain(objection: Objection) -> dict[str, object]:
    return {**vars(objection), "path": str(objection.path)}


def write_export(objections: Iterable[Objection], out: Path) -> int:
    """Copy the accepted pictures into OUT and write OUT/manifest.csv last, so that a half-made export has no table.

    What an earlier export wrote and is no longer accepted, or was deleted by its sender, goes.

    Returns:
        How many were exported.
    """
    rows = []
    for objection in objections:
        if objection.decision not in LABELS:
            continue
        target = out / objection.decision / f"objection-{objection.id:06d}{objection.path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, objection.path.read_bytes())
        rows.append(_row(objection, target.relative_to(out)))
    _remove_strays(out, {str(row["file"]) for row in rows})
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "manifest.csv", _table(rows).encode())
    return len(rows)


def _remove_strays(out: Path, kept: set[str]) -> None:
    for label in LABELS:
        for path in (out / label).glob("objection-*"):
            if OWN_NAME.fullmatch(path.name) and path.relative_to(out).as_posix() not in kept:
                path.unlink()


def _row(objection: Objection, file: Path) -> dict[str, object]:
    return {
        "file": file.as_posix(),
        "label": objection.decision,
        "source": SOURCE,
        "generator": "unknown" if objection.decision == "fake" else "",
        "licence": "consent of the sender, for improving the model",
        "group": f"objection-{objection.id}",
        "created": objection.created,
        "objected_to": objection.prediction["verdict"],
        "p_fake": objection.prediction["p_fake"],
    }


def _table(rows: list[dict[str, object]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
