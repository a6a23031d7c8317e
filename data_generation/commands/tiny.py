"""The embedded generator: training both of its stages, and how far its images are from photographs."""

from pathlib import Path

import click

from data_generation.commands import FILE, FOLDER, NEW_FOLDER


@click.command(name="train-tiny", context_settings={"show_default": True})
@click.argument("photos", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@click.option("--steps", default=3300)
@click.option("--batch", default=32)
@click.option("--source", "sources", multiple=True, help="Only these sources of a manifest.csv.")
def train_tiny(photos: Path, out: Path, steps: int, batch: int, sources: tuple[str, ...]) -> None:
    """Train a small face generator on PHOTOS, resuming a run found in OUT.

    \b
    python -m data_generation train-tiny ../shared/data/faces runs/tiny

    Of a folder with a manifest.csv it takes the real pictures of the train split. OUT/tiny-faces is the pipeline, for
    `generate --model OUT/tiny-faces`. This is how the first stage of facecheck/tiny-faces was made, which paints 64
    pixels; `train-enlarger` makes the second.
    """  # noqa: D301 - \b is click's
    from data_generation.tiny.train import TinyConfig, cached_faces, photographs
    from data_generation.tiny.train import train_tiny as fit

    faces = cached_faces(photographs(photos, sources), out / "faces.npy")
    click.echo(f"{len(faces)} aligned faces")
    click.echo(str(fit(faces, TinyConfig(steps=steps, batch=batch), out, click.echo)))


@click.command(name="train-enlarger", context_settings={"show_default": True})
@click.argument("photos", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@click.option("--first-stage", type=FOLDER, help="Of `train-tiny`.  [default: that of facecheck/tiny-faces]")
@click.option("--steps", default=4000)
@click.option("--batch", default=16)
@click.option("--source", "sources", multiple=True, help="Only these sources of a manifest.csv.")
def train_enlarger(
    photos: Path, out: Path, first_stage: Path | None, steps: int, batch: int, sources: tuple[str, ...]
) -> None:
    """Train what doubles the 64 pixels of a first stage, resuming a run found in OUT.

    \b
    python -m data_generation train-enlarger ../shared/data/faces runs/enlarger --first-stage runs/tiny/tiny-faces

    OUT/tiny-faces is the pipeline of both stages, for `generate --model OUT/tiny-faces`.
    """  # noqa: D301 - \b is click's
    from data_generation.synthesis.pipelines import EMBEDDED_FOLDER
    from data_generation.tiny.enlarge import LARGE, EnlargerConfig
    from data_generation.tiny.enlarge import train_enlarger as fit
    from data_generation.tiny.train import cached_faces, photographs

    faces = cached_faces(photographs(photos, sources), out / f"faces-{LARGE}.npy", LARGE)
    click.echo(f"{len(faces)} aligned faces")
    config = EnlargerConfig(steps=steps, batch=batch)
    click.echo(str(fit(faces, first_stage or EMBEDDED_FOLDER, config, out, click.echo)))


@click.command(context_settings={"show_default": True})
@click.argument("images", type=FOLDER)
@click.argument("photos", type=FOLDER)
@click.option("--backbone", type=FILE, required=True, help="resnet50, from `python -m training backbone`.")
@click.option("--split", default="val", help="Of a folder with a manifest.csv.")
@click.option("--side", default=128, help="Of the aligned faces that are compared, pixels.")
def distance(images: Path, photos: Path, backbone: Path, split: str, side: int) -> None:
    """Print how far generated IMAGES are from PHOTOS: the kernel distance, 0 where they cannot be told apart.

    \b
    python -m data_generation distance runs/faces/images ../shared/data/faces --backbone resnet50.safetensors

    Of both the largest face is aligned by eyes, nose and mouth, so that framing does not count.
    """  # noqa: D301 - \b is click's
    from data_generation.tiny.distance import features, kernel_distance
    from data_generation.tiny.train import all_faces, photographs
    from training.unseen.extractor import KINDS

    extractor = KINDS["resnet50"](backbone)
    made, real = (all_faces(photographs(folder, split=split), side) for folder in (images, photos))
    found = kernel_distance(features(made, extractor), features(real, extractor))
    click.echo(
        f"{found.mean:.3f} (deviation over subsets {found.deviation:.3f}), {len(made)} images, {len(real)} photos"
    )
