"""`python -m training train | calibrate | evaluate`: the steps that made the default model, in order."""

from pathlib import Path

import click

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
@click.option("--steps", default=2400)
@click.option("--batch", default=48)
@click.option("--seed", default=0)
def train(
    data: Path,
    out: Path,
    backbone: Path | None,
    name: str,
    version: str,
    architecture: str,
    steps: int,
    batch: int,
    seed: int,
) -> None:
    """Fine-tune on the train split of DATA/manifest.csv; run again with the same OUT to resume."""
    from facecheck.models import ModelConfig
    from training.data import read_manifest
    from training.train import TrainConfig
    from training.train import train as run

    rows = [row for row in read_manifest(data) if row.split == "train"]
    config = TrainConfig(steps=steps, batch=batch, seed=seed, frozen=TrainConfig.frozen if backbone else ())
    click.echo(f"{len(rows)} faces, {config}")
    click.echo(run(rows, ModelConfig(name, version, architecture), config, backbone, out))


if __name__ == "__main__":
    main()
