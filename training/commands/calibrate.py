"""What is written beside weights: calibrate, quantize."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from facecheck.errors import FacecheckError
from facecheck.files import write_atomically
from facecheck.model.checkpoint import load_model
from facecheck.model.config import Criteria
from training.calibration.calibration_set import FITTED_ON, CalibrationSet
from training.calibration.crossfit import fit_and_state
from training.calibration.limits import limits_markdown, measure_limits
from training.calibration.tables import decision_markdown
from training.commands import FILE, FOLDER
from training.data import WORLD, judged_split, read_manifest
from training.evaluation.corruptions import stratified
from training.evaluation.observations import observe

CACHE = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of scores.  [default: facecheck's own]",
)


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
