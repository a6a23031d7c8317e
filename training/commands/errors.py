"""How often such an answer is wrong: errors."""

from collections.abc import Sequence
from pathlib import Path

import click

from facecheck.error_rates import AnswerBand
from facecheck.errors import FacecheckError
from facecheck.files import write_atomically
from facecheck.model.checkpoint import load_model
from facecheck.model.files import DEFAULT_MODEL, find_weights
from training.commands import FOLDER
from training.data import WORLD, judged_split, read_manifest
from training.evaluation.error_cells import HeldOut, Part, stable_and_not
from training.evaluation.error_table import judge_stability, measure_errors

PREVALENCES = (0.5, 0.1, 0.01)


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("data", type=FOLDER)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: evaluation/errors-NAME]")
@click.option("--split", help="That the table is made from.  [default: world, or val where there is none]")
@click.option("--stability", default=0, help="Also try the stability check on so many faces, evenly over sources.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Of scores.  [default: our own]")
@click.option("--install", is_flag=True, help="Write the table beside the weights too, where facecheck reads it.")
@click.option("--device", default="auto")
def errors(
    model: str, data: Path, out: Path | None, split: str | None, stability: int, cache: Path | None, install: bool,
    device: str,
) -> None:  # fmt: skip
    """Count how often answers of MODEL are wrong, by p_fake, face size, sharpness, compression and pose.

    A stopped run goes on where it was. On a split that is not "world" the network has learned from the sources, and
    facecheck then states no rate.
    """
    name = DEFAULT_MODEL if model == "default" else model
    try:
        weights, loaded, rows = find_weights(name), load_model(name), read_manifest(data)
        split = split or judged_split(rows, "val")
        if split != WORLD:
            click.echo(f"split {split}: sources it learned from. On unseen sources nothing is measured.", err=True)
        rows = [row for row in rows if row.split == split]
        command = f"python -m training errors {Path(model).name} DATA --split {split}"
        found = measure_errors(loaded, rows, data, command, cache, device)
        parts = stable_and_not(judge_stability(loaded, rows, stability, device), loaded.config) if stability else []
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    folder = out or Path("evaluation") / f"errors-{loaded.config.name}-{loaded.config.version}"
    folder.mkdir(parents=True, exist_ok=True)
    places = [folder / f"{loaded.config.name}.errors.json", *([weights.with_suffix(".errors.json")] if install else [])]
    for place in places:
        write_atomically(place, found.table.to_json().encode())
    click.echo("\n\n".join([_answers(found.table.bands), _cells(found.tried), *([_stability(parts)] if parts else [])]))


def _answers(bands: Sequence[AnswerBand]) -> str:
    head = ["p_fake", "faces", "sources", "likelihood ratio [95 %]"]
    head += [f"generated, of faces of which {share:.0%} are" for share in PREVALENCES]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for band in bands:
        ratio = f"{band.likelihood_ratio:.3g} [{band.ratio_low:.3g}, {band.ratio_high:.3g}]"
        shares = (band.share_of_fakes(share) for share in PREVALENCES)
        cells = [f"{middle:.1%} [{low:.1%}, {high:.1%}]" for middle, low, high in shares]
        place = f"{band.low:g} to {band.high:g}"
        lines.append(f"| {' | '.join([place, str(band.faces), str(band.sources), ratio, *cells])} |")
    return "\n".join(lines)


def _cells(tried: Sequence[HeldOut]) -> str:
    head = "| measurement | range | face, px | error, half of the sources [95 %] | the other half | faces | inside |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for h in tried:
        cell, sizes = h.cell, f"{h.cell.from_px:g} to {h.cell.to_px or 'any'}"
        stated = f"{cell.error:.1%} [{cell.error_low:.1%}, {cell.error_high:.1%}] of {cell.faces}"
        inside = "yes" if h.inside else "no"
        lines.append(f"| {cell.measure} | {cell.range} | {sizes} | {stated} | {h.error:.1%} | {h.faces} | {inside} |")
    held, agree = sum(h.inside for h in tried), sum(h.agrees for h in tried)
    return "\n".join([*lines, "", f"Of {len(tried)} cells {held} are inside their interval and {agree} agree."])


def _stability(parts: Sequence[Part]) -> str:
    lines = ["| answer | faces | right | balanced |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {p.name} | {p.faces} | {p.accuracy:.1%} | {p.balanced:.1%} |" for p in parts)])
