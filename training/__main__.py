"""`python -m training train | average | calibrate | evaluate`: the steps that made the default model, in order."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from facecheck.checker import FaceChecker
from facecheck.models import ModelConfig, load_model, write_atomically
from training.calibrate import fit_decision, limits_markdown, measure_limits
from training.data import read_manifest
from training.evaluate import TIERS, markdown, score
from training.train import TrainConfig
from training.train import average as average_models
from training.train import train as run_training

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Train, calibrate and evaluate a facecheck model."""


@main.command()
@click.argument("data", type=FOLDER)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--backbone", type=FILE, help="Safetensors to start from; without it the weights are random.")
@click.option("--name", default="facecheck-resnet50", help="Name of the model and of its files.")
@click.option("--version", default="0.1.0", help="Version written into the config.")
@click.option("--architecture", default="resnet50")
@click.option("--licence", default="CC BY-NC-SA 4.0", help="Of the weights, written into the config.")
@click.option("--steps", default=TrainConfig.steps)
@click.option("--batch", default=TrainConfig.batch)
@click.option("--lr", default=TrainConfig.lr, help="Of what came with the backbone; random layers learn faster.")
@click.option("--phase", "phases", multiple=True, type=(float, int), default=TrainConfig.phases, help="SHARE SIDE.")
@click.option("--boost", multiple=True, type=(str, float), help="LABEL/SOURCE FACTOR: show a hard source more often.")
@click.option("--freeze", multiple=True, default=TrainConfig.frozen, help="Modules that stay as the backbone has them.")
@click.option("--train-all", is_flag=True, help="Freeze nothing.")
@click.option("--seed", default=TrainConfig.seed)
def train(
    data: Path, out: Path, backbone: Path | None, name: str, version: str, architecture: str, licence: str, steps: int,
    batch: int, lr: float, phases: tuple[tuple[float, int], ...], boost: tuple[tuple[str, float], ...],
    freeze: tuple[str, ...], train_all: bool, seed: int,
) -> None:  # fmt: skip
    """Fine-tune on the train split of DATA/manifest.csv; run again with the same OUT to resume."""
    rows = [row for row in read_manifest(data) if row.split == "train"]
    frozen = () if train_all or backbone is None else freeze
    config = TrainConfig(steps=steps, batch=batch, lr=lr, phases=phases, boost=boost, frozen=frozen, seed=seed)
    sources = tuple(sorted({f"{row.label}/{row.source}" for row in rows}))
    click.echo(f"{len(rows)} faces, {config}")
    size = config.sizes()[-1]
    model = ModelConfig(name, version, architecture, size, licence=licence, training_data=sources)
    click.echo(run_training(rows, model, config, backbone, out))


@main.command()
@click.argument("weights", nargs=-1, required=True, type=FILE)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def average(weights: tuple[Path, ...], out: Path) -> None:
    """Average the WEIGHTS of runs that started from one another into a model in OUT."""
    click.echo(average_models([load_model(path) for path in weights], out))


@main.command()
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


@main.command()
@click.argument("data", type=FOLDER)
@click.option("--model", default="facecheck-resnet50", help="Name or path.")
@click.option("--split", default="test")
def evaluate(data: Path, model: str, split: str) -> None:
    """Print, as markdown, how good a model is on a split of DATA/manifest.csv: whole pipeline, three delivery tiers."""
    rows = [row for row in read_manifest(data) if row.split == split]
    checker = FaceChecker(model)
    tiers = {tier: list(score(checker, rows, tier)) for tier in TIERS}
    click.echo(markdown(tiers, checker.config.decision.threshold))


if __name__ == "__main__":
    main()
