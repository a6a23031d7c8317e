"""What is written beside weights: calibrate, errors, quantize."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from facecheck.calibration import share_of_fakes
from facecheck.error_rates import AnswerBand
from facecheck.errors import FacecheckError
from facecheck.files import write_atomically
from facecheck.model import DEFAULT_MODEL, find_weights
from facecheck.model.checkpoint import load_model
from facecheck.model.config import Criteria
from training.calibration.calibration_set import FITTED_ON, CalibrationSet
from training.calibration.crossfit import decision_markdown, fit_and_state
from training.calibration.limits import limits_markdown, measure_limits
from training.commands import CACHE, FILE, FOLDER
from training.data import WORLD, judged_split, read_manifest
from training.evaluation.corruptions import stratified
from training.evaluation.error_cells import HeldOut, Part, stable_and_not
from training.evaluation.error_table import judge_stability, measure_errors
from training.evaluation.observations import observe
from training.markdown import table

PREVALENCES = (0.5, 0.1, 0.01)


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--split", help="To fit on.  [default: world, or val where there is none]")
@click.option(
    "--sweep-faces",
    default=300,
    help="Faces, evenly over sources, that are corrupted to measure the limits; 0 keeps those of the config.",
)
@click.option("--seed", default=0)
@CACHE
@click.option("--max-risk", default=Criteria.max_risk, help="Share of the answers that may be wrong.")
@click.option("--min-coverage", default=Criteria.min_coverage, help="Share of the faces that get an answer at least.")
@click.option("--uncertain-share", type=float, help="In place of --max-risk: share of the faces that gets none.")
@click.option("--source-cap", type=float, help="Highest false-alarm rate on any one source of photographs, as 0.02.")
@click.option("--max-fpr", type=float, help="Ship the threshold of this false-alarm rate, as 0.01.")
def calibrate(
    weights: Path, data: Path, split: str | None, sweep_faces: int, seed: int, cache: Path | None, **asked: Any
) -> None:
    """Choose the decision and the limits on unseen sources, and write them into the config of WEIGHTS."""
    try:
        criteria = Criteria(**asked)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    rows, model = read_manifest(data), load_model(weights)
    split = split or judged_split(rows, "val")
    if split != WORLD:
        click.echo(f"split {split}: sources it learned from. On unseen sources nothing is measured.", err=True)
    rows = [row for row in rows if row.split == split]
    try:
        faces = CalibrationSet.of(observe(model, rows, FITTED_ON, cache))
        decision, fit = fit_and_state(faces, rows, criteria, split)
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    model = replace(model, config=replace(model.config, decision=decision))
    click.echo(decision_markdown(faces, decision, fit))
    if sweep_faces:
        limits, tables = measure_limits(model, stratified(rows, sweep_faces, seed))
        click.echo(f"{limits_markdown(tables)}\n\n{limits}")
        model = replace(model, config=replace(model.config, limits=limits))
    write_atomically(weights.with_suffix(".json"), model.config.to_json().encode())


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--faces", type=click.IntRange(2), default=300, help="Of the train split, for the calibration.")
def quantize(weights: Path, data: Path, faces: int) -> None:
    """Make WEIGHTS int8 for OpenVINO, beside them, and print what is lost on unseen sources of DATA."""
    from training import quantize as work

    try:
        found = work.quantize(weights, read_manifest(data), data, faces)
    except ImportError as error:
        raise click.ClickException(f'{error}: pip install "facecheck[openvino,training]"') from error
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(work.losses_markdown(found))


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("data", type=FOLDER)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: evaluation/errors-NAME]")
@click.option("--split", help="That the table is made from.  [default: world, or val where there is none]")
@click.option("--stability", default=0, help="Also try the stability check on so many faces, evenly over sources.")
@CACHE
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
    names, rows = ["p_fake", "faces", "sources", "likelihood ratio [95 %]"], []
    names += [f"generated, of faces of which {share:.0%} are" for share in PREVALENCES]
    for band in bands:
        ratio = f"{band.likelihood_ratio:.3g} [{band.ratio_low:.3g}, {band.ratio_high:.3g}]"
        shares = (share_of_fakes(band, share) for share in PREVALENCES)
        cells = [f"{middle:.1%} [{low:.1%}, {high:.1%}]" for middle, low, high in shares]
        rows.append((f"{band.low:g} to {band.high:g}", band.faces, band.sources, ratio, *cells))
    return table(names, rows)


def _cells(tried: Sequence[HeldOut]) -> str:
    names = [
        "measurement", "range", "face, px", "error, half of the sources [95 %]", "the other half", "faces", "inside",
    ]  # fmt: skip
    rows = []
    for h in tried:
        cell, sizes = h.cell, f"{h.cell.from_px:g} to {h.cell.to_px or 'any'}"
        stated = f"{cell.error:.1%} [{cell.error_low:.1%}, {cell.error_high:.1%}] of {cell.faces}"
        inside = "yes" if h.inside else "no"
        rows.append((cell.measure, cell.range, sizes, stated, f"{h.error:.1%}", h.faces, inside))
    held, agree = sum(h.inside for h in tried), sum(h.agrees for h in tried)
    counted = f"Of {len(tried)} cells {held} are inside their interval and {agree} agree."
    return f"{table(names, rows)}\n\n{counted}"


def _stability(parts: Sequence[Part]) -> str:
    rows = ((p.name, p.faces, f"{p.accuracy:.1%}", f"{p.balanced:.1%}") for p in parts)
    return table(["answer", "faces", "right", "balanced"], rows)
