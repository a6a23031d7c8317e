"""Weights to a decision: calibrate."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from facecheck.models import load_model, write_atomically
from training.calibrate import fit_decision, limits_markdown, measure_limits
from training.commands import FILE, FOLDER
from training.data import read_manifest


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option(
    "--sweep-faces", default=300, help="Validation faces that are damaged step by step to measure the limits."
)
@click.option("--seed", default=0)
def calibrate(weights: Path, data: Path, sweep_faces: int, seed: int) -> None:
    """Choose temperature, threshold, band and limits on the val split, and write them into the config of WEIGHTS."""
    rows = [row for row in read_manifest(data) if row.split == "val"]
    model = load_model(weights)
    decision = fit_decision(model, rows)
    click.echo(decision)
    model = replace(model, config=replace(model.config, decision=decision))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:sweep_faces]
    limits, tables = measure_limits(model, [rows[i] for i in chosen])
    click.echo(limits_markdown(tables))
    config = replace(model.config, limits=limits)
    write_atomically(weights.with_suffix(".json"), config.to_json().encode())
    click.echo(limits)
