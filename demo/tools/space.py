"""The files of a Hugging Face Space: what the image needs, with the Space's own card in place of the README."""

import shutil
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
COPIED = ("pyproject.toml", "setup.cfg", "LICENSE", "facecheck", "demo")
# A Space is shown in a frame of this site.
FRAME = "\nENV FACECHECK_DEMO_FRAMED_BY=https://huggingface.co\n"


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def space(out: Path) -> None:
    """Write the files of a Hugging Face Space into the new folder OUT, ready to be pushed."""
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(ROOT / "deploy" / "space.md", out / "README.md")
    (out / "Dockerfile").write_text((ROOT / "deploy" / "Dockerfile").read_text() + FRAME)
    click.echo(f"{out}: commit it to https://huggingface.co/spaces/OWNER/NAME and push")
