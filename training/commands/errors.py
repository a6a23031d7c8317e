"""How often a model is wrong on faces like a given one: errors."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import click

from facecheck.checker import FaceChecker
from facecheck.error_rates import ErrorTable
from facecheck.errors import FacecheckError
from facecheck.files import write_atomically
from facecheck.model.files import DEFAULT_MODEL, find_weights
from training.commands import FOLDER
from training.data import FaceFile, read_manifest
from training.evaluation.corruptions import stratified
from training.evaluation.error_cells import HeldOut, Part, error_cells, held_out, stable_and_not
from training.evaluation.random_delivery import judge_delivered


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("data", type=FOLDER)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: evaluation/errors-NAME]")
@click.option("--split", default="val", help="That the table is made from.")
@click.option("--held-out", "other", default="test", help="That the table and the stability check are tried on.")
@click.option("--faces", type=int, help="Of each split, evenly over sources.  [default: all]")
@click.option("--install", is_flag=True, help="Write the table beside the weights too, where facecheck reads it.")
@click.option("--device", default="auto")
def errors(
    model: str, data: Path, out: Path | None, split: str, other: str, faces: int | None, install: bool, device: str
) -> None:
    """Count the errors of MODEL by face size, sharpness, compression and pose, and try the table on other faces.

    Each file is delivered once at a size and quality drawn by chance. A stopped run goes on where it was; with
    other weights or another decision it begins anew.
    """
    name = DEFAULT_MODEL if model == "default" else model
    try:
        weights = find_weights(name)
        first = FaceChecker(name, device=device, engine="torch")
        second = FaceChecker(name, device=device, detector=first.detector, stability=True, engine="torch")
        rows = read_manifest(data)
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    folder = out or Path("evaluation") / f"errors-{first.config.name}-{first.config.version}"
    folder.mkdir(parents=True, exist_ok=True)
    judged = judge_delivered(first, _chosen(rows, split, faces), data, folder / f"{split}.csv")
    tried = judge_delivered(second, _chosen(rows, other, faces), data, folder / f"{other}.csv")
    few = f" --faces {faces}" if faces else ""
    command = f"python -m training errors {Path(model).name} DATA --split {split}{few}"
    table = ErrorTable(first.config.sha256, command, error_cells(judged))
    places = [folder / f"{first.config.name}.errors.json", *([weights.with_suffix(".errors.json")] if install else [])]
    for place in places:
        write_atomically(place, table.to_json().encode())
    click.echo(_report(held_out(table.cells, tried), stable_and_not(tried, first.config), other))


def _chosen(rows: Sequence[FaceFile], split: str, faces: int | None) -> list[FaceFile]:
    """In an order by chance, so that a part of the work is a fair part."""
    mine = [row for row in rows if row.split == split]
    mine = stratified(mine, faces) if faces else mine
    return sorted(mine, key=lambda row: zlib.crc32(row.path.name.encode()))


def _report(tried: Sequence[HeldOut], stability: Sequence[Part], split: str) -> str:
    head = f"| measurement | range | face, px | error [95 %] | on split {split} | faces | inside | agrees |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for h in tried:
        cell, sizes = h.cell, f"{h.cell.from_px:g} to {h.cell.to_px or 'any'}"
        stated = f"{cell.error:.1%} [{cell.error_low:.1%}, {cell.error_high:.1%}] of {cell.faces}"
        inside, agrees = ("yes" if good else "no" for good in (h.inside, h.agrees))
        lines.append(
            f"| {cell.measure} | {cell.range} | {sizes} | {stated} | {h.error:.1%} | {h.faces} | {inside} | {agrees} |"
        )
    held, agree = sum(h.inside for h in tried), sum(h.agrees for h in tried)
    lines += ["", f"Of {len(tried)} cells {held} are inside their interval and {agree} agree.", ""]
    lines += ["| answer | faces | right | balanced |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {p.name} | {p.faces} | {p.accuracy:.1%} | {p.balanced:.1%} |" for p in stability)])
