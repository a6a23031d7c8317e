"""What is written beside weights: calibrate, quantize."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from facecheck.errors import FacecheckError
from facecheck.files import write_atomically
from facecheck.model.checkpoint import load_model
from training.calibration.calibrate import Criteria, fit_decision
from training.calibration.limits import limits_markdown, measure_limits
from training.calibration.tables import decision_markdown
from training.calibration.validation import validation
from training.commands import FILE, FOLDER, NEW_FILE
from training.data import read_manifest


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option(
    "--sweep-faces",
    default=300,
    help="Validation faces that are corrupted step by step to measure the limits; 0 keeps those of the config.",
)
@click.option("--seed", default=0)
@click.option(
    "--scores", type=NEW_FILE, help="Keep the logits in this .npz file; they are reused for the same weights."
)
@click.option("--doubtful", default=Criteria.doubtful, help="Share of all faces that may be answered `uncertain`.")
@click.option("--source-cap", type=float, help="Highest false-alarm rate on any one source of photographs, as 0.02.")
@click.option("--max-fpr", type=float, help="Ship the threshold of this false-alarm rate, as 0.01.")
def calibrate(
    weights: Path,
    data: Path,
    sweep_faces: int,
    seed: int,
    scores: Path | None,
    doubtful: float,
    source_cap: float | None,
    max_fpr: float | None,
) -> None:
    """Choose the decision and the limits on the val split, and write them into the config of WEIGHTS."""
    try:
        criteria = Criteria(doubtful, source_cap, max_fpr)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    rows = [row for row in read_manifest(data) if row.split == "val"]
    model = load_model(weights)
    faces = validation(model, rows, scores)
    try:
        decision = fit_decision(faces, criteria)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    model = replace(model, config=replace(model.config, decision=decision))
    click.echo(decision_markdown(faces, decision))
    if sweep_faces:
        chosen = np.random.default_rng(seed).permutation(len(rows))[:sweep_faces]
        limits, tables = measure_limits(model, [rows[i] for i in chosen])
        click.echo(f"{limits_markdown(tables)}\n\n{limits}")
        model = replace(model, config=replace(model.config, limits=limits))
    write_atomically(weights.with_suffix(".json"), model.config.to_json().encode())


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--faces", type=click.IntRange(2), default=300, help="Of the train split, for the calibration.")
def quantize(weights: Path, data: Path, faces: int) -> None:
    """Make WEIGHTS int8 for OpenVINO, beside them, and print what is lost on the test split of DATA."""
    from training import quantize as work

    try:
        found = work.quantize(weights, read_manifest(data), data, faces)
    except ImportError as error:
        raise click.ClickException(f'{error}: pip install "facecheck[openvino,training]"') from error
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(work.losses_markdown(found))
