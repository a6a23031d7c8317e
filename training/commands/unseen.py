"""What training never saw: logo."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from facecheck.models import ModelConfig
from training.augment import Delivery
from training.commands import FILE, FOLDER
from training.data import FaceFile, read_manifest
from training.features import Extractor, extract
from training.logo import GENERATOR, REAL_SOURCE, FineTuned, LinearProbe, Score, leave_one_out, markdown
from training.trainer import TrainConfig

EXTRACTORS = {"resnet50": Extractor.resnet50, "inception_resnet": Extractor.inception_resnet}


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path("logo"), help="Cache and runs.")
@click.option(
    "--backbone", "backbones", multiple=True, type=(click.Choice(sorted(EXTRACTORS)), FILE), required=True,
    help="KIND FILE; several are joined for `features`, the first one is fine-tuned.",
)  # fmt: skip
@click.option("--protocol", type=click.Choice(["features", "finetune"]), default="features")
@click.option("--views", default=2, help="Features: deliveries of every training face.")
@click.option("--steps", default=1200, help="Fine-tuning: steps of each run.")
@click.option("--phase", "phases", multiple=True, type=(float, int), default=((1.0, 160),), help="SHARE SIDE.")
@click.option("--tier", default="web", help="Delivery of the faces that are judged.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice([GENERATOR, REAL_SOURCE]),
              default=(GENERATOR, REAL_SOURCE))  # fmt: skip
@click.option("--name", "names", multiple=True, help="Only these generators or sources.")
def logo(
    data: Path, backbones: tuple[tuple[str, Path], ...], work: Path, protocol: str, views: int, tier: str,
    kinds: tuple[str, ...], names: tuple[str, ...], **settings: Any,
) -> None:  # fmt: skip
    """Leave each generator, and each source of photographs, out of DATA in turn and measure on it."""
    rows = read_manifest(data)
    score: Score
    if protocol == "features":
        score = _probe(rows, backbones, work, views, tier)
    else:
        config = TrainConfig(**settings)
        model = ModelConfig("left-out", "0", input_size=config.sizes()[-1])
        score = FineTuned(rows, model, config, backbones[0][1], work, tier)
    results = [held for kind in kinds for held in leave_one_out(rows, score, kind, names)]
    click.echo(markdown(results))


def _probe(
    rows: list[FaceFile], backbones: tuple[tuple[str, Path], ...], work: Path, views: int, tier: str
) -> LinearProbe:
    extractors = [EXTRACTORS[kind](path) for kind, path in backbones]
    cache = work / "features"

    def joined(**how: Any) -> np.ndarray[Any, Any]:
        return np.concatenate([extract(extractor, rows, cache, tier=tier, **how) for extractor in extractors], axis=1)

    return LinearProbe(rows, [joined(delivery=Delivery(), seed=seed) for seed in range(views)], joined())
