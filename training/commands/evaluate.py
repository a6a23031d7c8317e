"""Weights, or anybody's scores, to numbers: evaluate, compare."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from facecheck.engines import AUTO, ENGINES, PRECISIONS, TORCH
from facecheck.errors import FacecheckError
from training.commands import FILE, FOLDER
from training.data import read_manifest
from training.evaluation import tables
from training.evaluation.comparison import compare as compare_scores
from training.evaluation.corruptions import CurvePoint, measure_curves, stratified
from training.evaluation.report import Evaluation, around_markers, write_card, write_report, write_scores
from training.evaluation.subject import judge, read_judged
from training.evaluation.summary import summarise
from training.tiers import TIERS

SCORES = click.Path(exists=True, path_type=Path)
CURVE_FACES, ROUNDS = 300, 500


def _tiers(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    tiers = tuple(text.split(","))
    if unknown := set(tiers) - set(TIERS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
    return tiers


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("data", type=FOLDER)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: evaluation/NAME-VERSION]")
@click.option("--split", default="test")
@click.option("--tiers", default=",".join(TIERS), callback=_tiers, help="For models; scores keep their own tiers.")
@click.option("--curves/--no-curves", default=True, help="Robustness curves, for models.")
@click.option("--curve-faces", default=CURVE_FACES, help="Faces that are corrupted step by step.")
@click.option("--compare", "other", help="A second MODEL, for a paired comparison.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="In place of the shipped one, or of 0.5 for scores.")
@click.option("--rounds", default=ROUNDS, help="Of the bootstrap.")
@click.option("--card", type=FILE, help="Model card whose part between the evaluation markers is rewritten.")
@click.option("--device", default="auto")
@click.option("--engine", type=click.Choice(ENGINES), default=TORCH, help="That computes; torch is the reference.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=AUTO, help="Of the engine; torch's own is f32.")
def evaluate(
    model: str, data: Path, out: Path | None, split: str, tiers: tuple[str, ...], curves: bool, curve_faces: int,
    other: str | None, threshold: float | None, rounds: int, card: Path | None, device: str,
    engine: str, precision: str,
) -> None:  # fmt: skip
    """Measure MODEL on a split of DATA/manifest.csv: tables, curves and pictures in one folder.

    MODEL is "default", a name, a model's folder, a .safetensors or .onnx file with its .json, or scores: a .csv with
    the columns file and p_fake, a folder of them, or the folder of an earlier report.
    """
    with _plain_errors():
        rows = [row for row in read_manifest(data) if row.split == split]
        if {row.label for row in rows} != {"real", "fake"}:
            raise ValueError(f"split {split!r} of {data} has {len(rows)} files; both classes are needed")
        if card:
            around_markers(card)  # Before the work, not after it.
        judged = judge(model, rows, data, tiers, threshold, device, engine, precision)
        folder = out or Path("evaluation") / judged.subject.slug
        write_scores(folder, judged.scores)
        second = judge(other, rows, data, tiers, threshold, device, engine, precision) if other else None
        points: Sequence[CurvePoint] = judged.curves
        if curves and judged.checker:
            points = measure_curves(judged.checker, stratified(rows, curve_faces))
        evaluation = Evaluation(
            judged.subject,
            split,
            _command(model, split, tiers, curve_faces if curves else 0, other, threshold, engine, precision),
            tuple(summarise(tier, part, rounds) for tier, part in judged.scores.by_tier().items()),
            tuple(points),
            second.subject if second else None,
            tuple(compare_scores(judged.scores, second.scores, rounds)) if second else (),
        )
        write_report(folder, evaluation, judged.scores)
        if card:
            write_card(card, evaluation)
    click.echo(f"{tables.overall(evaluation.tiers)}\n\n{folder / 'report.md'}")


@click.command(context_settings={"show_default": True})
@click.argument("first", type=SCORES)
@click.argument("second", type=SCORES)
@click.option("--rounds", default=ROUNDS, help="Of the bootstrap.")
def compare(first: Path, second: Path, rounds: int) -> None:
    """Print how SECOND differs from FIRST, with intervals: report folders, or .csv files with labels."""
    with _plain_errors():
        pair = [read_judged(path) for path in (first, second)]
        found = compare_scores(pair[0].scores, pair[1].scores, rounds)
    click.echo(tables.differences(found, pair[0].subject.title, pair[1].subject.title))


def _command(
    model: str, split: str, tiers: tuple[str, ...], curve_faces: int, other: str | None, threshold: float | None,
    engine: str, precision: str,
) -> str:  # fmt: skip
    """What makes the report again; of paths only the last part, for they are nobody else's."""
    words = ["python -m training evaluate", Path(model).name, "DATA"]
    options = {
        "split": (split, "test"),
        "tiers": (",".join(tiers), ",".join(TIERS)),
        "curve-faces": (curve_faces or CURVE_FACES, CURVE_FACES),
        "compare": (Path(other).name if other else None, None),
        "threshold": (threshold, None),
        "engine": (engine, TORCH),
        "precision": (precision, AUTO),
    }
    words += [f"--{name} {value}" for name, (value, default) in options.items() if value != default]
    return " ".join(words if curve_faces else [*words, "--no-curves"])


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What the user can mend is a message, not a traceback."""
    try:
        yield
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
