"""The commands about files rather than faces: `facecheck provenance`, `facecheck formats`, `facecheck model`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from facecheck.cli.options import UNREADABLE, Command
from facecheck.error_rates import Budget
from facecheck.files import printable
from facecheck.model import DEFAULT_MODEL, available


@click.command(
    cls=Command,
    examples={
        "facecheck provenance photo.jpg": "what a file says of its own origin",
        "facecheck provenance --trust c2pa-trust-list.pem *.jpg": "and whether the signers are on a list",
    },
)
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="Certificates (PEM) of authorities whose signers are trusted, such as the C2PA trust list. None ships with "
    "facecheck: without it nobody vouches for any signer.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def provenance(files: Sequence[str], trust: Path | None, as_json: bool) -> None:
    """Print what FILES say of their own origin. No model is loaded, nothing is judged.

    Exit code: 0 whatever they say, 1 if a file could not be read, 2 for wrong usage.
    """
    from facecheck.errors import FacecheckError
    from facecheck.provenance.reader import provenance as read

    try:
        anchors = trust.read_text(encoding="ascii") if trust else None
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{str(trust)!r} cannot be read as PEM ({error})", param_hint="--trust") from error
    failed = False
    for name in files:
        try:
            found = read(name, trust_anchors=anchors)
        except FacecheckError as error:
            click.echo(printable(str(error)), err=True)
            failed = True
            continue
        if as_json:
            click.echo(json.dumps({"source": name} | found.to_dict()))
        else:
            lines = (f"{name}: {found.format or 'unknown'}", *found.sentences)
            click.echo("\n  ".join(map(printable, lines)))
    sys.exit(UNREADABLE if failed else 0)


@click.command(
    cls=Command,
    examples={
        "facecheck formats": "which files can be read here",
        "facecheck formats > formats.txt": "to send with a report of a file that cannot",
    },
)
def formats() -> None:
    """Print which formats of pictures can be read here, and what is missing for the others."""
    from facecheck.decoding import readable

    missing = 'no: pip install "facecheck[formats]"'
    for name, is_readable in readable().items():
        click.echo(f"{name:<9} {'yes' if is_readable else missing}")


@click.group()
def model() -> None:
    """The models that ship with the package."""


@model.command(
    cls=Command,
    examples={"facecheck model info": "the default model", "facecheck model info --json": "its whole config"},
)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole config as JSON.")
def info(name: str | None, as_json: bool) -> None:
    """Read model NAME (a name or a path), check its sha256 and print what it is, and what it would run on here."""
    from facecheck.engines.choosing import choose
    from facecheck.engines.classifier import quantised_of
    from facecheck.model import read_model

    stored = read_model(name or DEFAULT_MODEL)
    config, engine = stored.config, choose(quantised=quantised_of(stored))
    if as_json:
        click.echo(config.to_json(), nl=False)
        return
    decision, limits = config.decision, config.limits
    size, margin = f"{config.input_size} px", f"margin {config.crop_margin}"
    band = f"uncertain in [{decision.uncertain_from:.4g}, {decision.uncertain_to:.4g})"
    scale = f"temperature {decision.temperature:.3f}" + (
        f" and {len(decision.knots)} by size" if decision.knots else ""
    )
    tightness = f", at most {limits.max_outside:.0%} outside the picture" if limits.max_outside < 1 else ""
    rows = {
        "model": f"{config.name} {config.version} ({config.architecture}, {size}, {margin})",
        "sha256": f"{config.sha256} (checked)",
        "threshold": f"p_fake {decision.threshold:.4g}, {band}, {scale}",
        "fitted on": f"split {decision.fitted_on}" if decision.fitted_on else "not known",
        "max-fpr": ", ".join(map(_budget, decision.budgets)) or "none measured",
        "judged": f"faces of at least {limits.min_face_px:g} px, sharpness {limits.min_sharpness:g} or more, "
        f"blockiness {limits.max_blockiness:g} or less{tightness}",
        "engine": f"{engine} (on this machine)",
        "licence": config.licence,
        "trained on": ", ".join(config.training_data),
    }
    for key, value in rows.items():
        click.echo(f"{key:<11} {value}")


def _budget(budget: Budget) -> str:
    accuses = "" if budget.fpr is None else f"accuses {budget.fpr:.1%} and "
    return f"{budget.max_fpr:g} ({accuses}finds {budget.recall:.1%})"


@model.command(
    "list",
    cls=Command,
    examples={"facecheck model list": "one name a line", "facecheck model info facecheck-resnet50": "more about one"},
)
def list_models() -> None:
    """Print the names that --model knows."""
    for name in available():
        click.echo(name)


@model.command(
    cls=Command,
    examples={
        "facecheck model export -o facecheck.onnx": "the default model",
        "facecheck model export runs/facecheck-resnet50.safetensors -o mine.onnx": "one that you trained",
    },
)
@click.argument("name", required=False)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="FILE.onnx")
def export(name: str | None, output: Path) -> None:
    """Write model NAME (a name or a path) as ONNX for other programs, with its config beside it.

    The file is there only if onnxruntime gives the logits of torch with it.
    """
    from facecheck.model.checkpoint import export_onnx

    if output.suffix != ".onnx":
        raise click.BadParameter(f"{str(output)!r} does not end in .onnx", param_hint="--output")
    difference = export_onnx(name or DEFAULT_MODEL, output)
    click.echo(f"{output}: logits of onnxruntime and torch differ by at most {difference:.1e}")
