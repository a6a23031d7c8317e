"""What training never saw: explore, logo, ablate."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from facecheck.errors import LedgerError
from facecheck.files import sha256_of, write_atomically
from facecheck.model.config import ModelConfig
from training.augment import TIERS, Delivery
from training.commands import FILE, FOLDER
from training.data import FaceFile, read_manifest
from training.fitting.trainer import TrainConfig
from training.unseen.experiments import defaults, drawn
from training.unseen.explore import Laboratory, log_markdown
from training.unseen.explore import explore as run_experiments
from training.unseen.extractor import KINDS, Features
from training.unseen.features import LinearProbe, View, extract
from training.unseen.logo import (
    GENERATOR,
    REAL_SOURCE,
    FineTuned,
    Score,
    Variant,
    augmentations,
    findings_markdown,
    fine_tuned,
    held_markdown,
    leave_one_out,
)
from training.unseen.logo import learning_curve as measure_curve

WORK = click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), default=Path("unseen"), help="Cache and runs."
)
BACKBONES = click.option(
    "--backbone",
    "backbones",
    multiple=True,
    type=(click.Choice(list(KINDS)), FILE),
    required=True,
    help="KIND FILE of pretrained weights; the features of several are joined.",
)
FEATURES, FINETUNE = "features", "finetune"
PROTOCOL = click.option("--protocol", type=click.Choice([FEATURES, FINETUNE]), default=FEATURES)
STEPS = click.option("--steps", default=1200, help="Fine-tuning: steps of each run.")
PHASES = click.option(
    "--phase", "phases", multiple=True, type=(float, int), default=((1.0, 160),), help="Fine-tuning: SHARE SIDE."
)
PSEUDO_SHARE = 0.2
"""Of the photographs that a fine-tuned variant with pseudo-fakes sees."""


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@WORK
@BACKBONES
@click.option("--tier", type=click.Choice(list(TIERS)), default="web", help="Delivery of the faces that are judged.")
@click.option("--faces", default=0, help="Learn from so many, small sources and modern generators whole; 0 = all.")
@click.option("--pairs", "copies", type=FOLDER, help="Copies that `pairs` made, for an experiment with them.")
@click.option("--experiment", "names", multiple=True, help="Only these.")
def explore(
    data: Path, work: Path, backbones: tuple[tuple[str, Path], ...], tier: str, faces: int, copies: Path | None,
    names: tuple[str, ...],
) -> None:  # fmt: skip
    """Fit linear heads on frozen features of DATA's learning splits, and judge them on its world split.

    Each experiment is run once; WORK/explore.jsonl is the log, WORK/explore.md its table.
    """
    known = defaults([kind for kind, _ in backbones], copies is not None)
    if unknown := set(names) - set(known):
        raise click.UsageError(f"no experiment named {sorted(unknown)}; there are {list(known)}")
    laboratory = Laboratory(drawn(read_manifest(data), faces), dict(backbones), work / "features", tier, copies)
    lines = []
    try:
        entries = run_experiments(laboratory, [known[name] for name in names or known], work / "explore.jsonl")
        for line in log_markdown(entries):
            click.echo(line)
            lines.append(line)
    except (ValueError, LedgerError) as error:
        raise click.ClickException(str(error)) from error
    write_atomically(work / "explore.md", ("\n".join(lines) + "\n").encode())


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path("logo"), help="Cache and runs.")
@click.option(
    "--backbone", "backbones", multiple=True, type=(click.Choice(list(KINDS)), FILE), required=True,
    help="KIND FILE; several are joined for `features`, the first one is fine-tuned.",
)  # fmt: skip
@PROTOCOL
@click.option("--views", default=2, help="Features: deliveries of every training face.")
@STEPS
@PHASES
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
    if protocol == FEATURES:
        score = _probe(rows, backbones, work, views, tier)
    else:
        config = TrainConfig(**settings)
        model = ModelConfig("left-out", "0", input_size=config.sizes()[-1])
        score = FineTuned(rows, model, config, backbones[0][1], work, tier)
    results = [held for kind in kinds for held in leave_one_out(rows, score, kind, names)]
    click.echo(held_markdown(results))


def _drawing(rows: Sequence[FaceFile], backbones: Sequence[tuple[str, Path]], work: Path) -> Callable[[View], Features]:
    """A view -> the features of all backbones side by side."""
    extractors = [KINDS[kind](path) for kind, path in backbones]
    return lambda view: np.concatenate([extract(each, rows, view, work / "features") for each in extractors], axis=1)


def _probe(
    rows: Sequence[FaceFile], backbones: Sequence[tuple[str, Path]], work: Path, views: int, tier: str
) -> LinearProbe:
    draw = _drawing(rows, backbones, work)
    return LinearProbe(rows, [draw(View(Delivery(), seed=seed)) for seed in range(views)], draw(View(tier=tier)))


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@WORK
@BACKBONES
@PROTOCOL
@click.option("--tier", default="web", help="Delivery of the faces that are judged.")
@click.option("--faces", default=4000, help="Draw so many files, the same for every variant; 0 = all.")
@click.option("--autoencoder", type=FILE, help="Also try pseudo-fakes of this autoencoder.")
@click.option("--variant", "names", multiple=True, help="Only these variants.")
@STEPS
@PHASES
@click.option("--held", multiple=True, help="Fine-tuning: leave these generators out, together.")
@click.option("--learning-curve", is_flag=True, help="Features: take data away instead of augmentations.")
def ablate(
    data: Path, backbones: tuple[tuple[str, Path], ...], work: Path, protocol: str, tier: str, faces: int,
    autoencoder: Path | None, names: tuple[str, ...], held: tuple[str, ...], learning_curve: bool, **settings: Any,
) -> None:  # fmt: skip
    """Which augmentations, pseudo-fakes and amounts of data help, in domain and on unseen generators."""
    rows = read_manifest(data)
    if faces:
        drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:faces])
        rows = [rows[i] for i in drawn]
    if protocol == FINETUNE:
        if learning_curve or not held:
            raise click.UsageError("`--protocol finetune` needs --held GENERATOR, and draws no learning curve")
        prepared = _runs(rows, backbones[0][1], work, tier, autoencoder, TrainConfig(**settings))
        findings = fine_tuned(rows, prepared, held, autoencoder is not None, names)
    elif learning_curve:
        findings = measure_curve(rows, _probe(rows, backbones, work, 1, tier))
    else:
        findings = augmentations(rows, _drawing(rows, backbones, work), tier, autoencoder, names)
    for line in findings_markdown(findings):
        click.echo(line)


def _runs(
    rows: Sequence[FaceFile], backbone: Path, work: Path, tier: str, autoencoder: Path | None, usual: TrainConfig
) -> Callable[[Variant], Score]:
    """A variant -> a run in a folder named by its settings."""

    def prepared(variant: Variant) -> Score:
        pseudo = ((variant.pseudo, PSEUDO_SHARE),) if variant.pseudo else ()
        config = replace(usual, delivery=variant.delivery, pseudo=pseudo)
        folder = work / "runs" / sha256_of(config.to_json().encode())[:12]
        model = ModelConfig("ablated", "0", input_size=config.sizes()[-1])
        return FineTuned(rows, model, config, backbone, folder, tier, autoencoder)

    return prepared
