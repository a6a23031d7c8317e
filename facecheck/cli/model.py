"""The command `facecheck model`."""

from pathlib import Path

import click

from facecheck.cli.options import Command
from facecheck.error_rates import Budget
from facecheck.model.files import DEFAULT_MODEL, available


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
    from facecheck.model.files import read_model

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
    from facecheck.model.export import export_onnx

    if output.suffix != ".onnx":
        raise click.BadParameter(f"{str(output)!r} does not end in .onnx", param_hint="--output")
    difference = export_onnx(name or DEFAULT_MODEL, output)
    click.echo(f"{output}: logits of onnxruntime and torch differ by at most {difference:.1e}")
