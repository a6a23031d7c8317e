"""Photos to weights: train, average."""

from pathlib import Path

import click

from facecheck.models import ModelConfig, load_model
from training.commands import FILE, FOLDER
from training.data import read_manifest
from training.train import TrainConfig
from training.train import average as average_models
from training.train import train as run_training


@click.command(context_settings={"show_default": True})
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


@click.command(context_settings={"show_default": True})
@click.argument("weights", nargs=-1, required=True, type=FILE)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def average(weights: tuple[Path, ...], out: Path) -> None:
    """Average the WEIGHTS of runs that started from one another into a model in OUT."""
    click.echo(average_models([load_model(path) for path in weights], out))
