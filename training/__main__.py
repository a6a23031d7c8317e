"""`python -m training COMMAND`: the steps that made the default model, in order."""

import click

from training.commands import data, errors, fit, judge, measure, quantize, unseen


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Prepare and audit photos; train, calibrate and evaluate a facecheck model."""


for command in (
    data.prepare, data.audit, fit.autoencoder, fit.train, fit.average, judge.calibrate, measure.evaluate,
    measure.compare, errors.errors, quantize.quantize, unseen.logo, unseen.ablate, fit.update,
):  # fmt: skip
    main.add_command(command)

if __name__ == "__main__":
    main()
