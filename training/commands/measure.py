"""Weights, or anybody's scores, to numbers: calibrate, errors, quantize, evaluate, processed, compare."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from facecheck.checker import FaceChecker
from facecheck.engines import AUTO, ENGINES, PRECISIONS, TORCH
from facecheck.errors import FacecheckError
from facecheck.files import write_atomically
from facecheck.model import DEFAULT_MODEL, find_weights
from facecheck.model.checkpoint import load_model
from facecheck.model.config import Criteria
from training.augment import TIERS
from training.commands import CACHE, FILE, FOLDER
from training.crossfit import decision_markdown, fit_and_state
from training.data import LEARNED, UNSEEN, WORLD, FaceFile, judged_split, read_manifest, sources_of
from training.evaluation import tables
from training.evaluation.corruptions import (
    CurvePoint,
    limits_markdown,
    measure_curves,
    measure_limits,
    measure_processing,
    processing_markdown,
    stratified,
)
from training.evaluation.error_cells import stable_and_not
from training.evaluation.error_table import errors_markdown, judge_stability, measure_errors
from training.evaluation.observations import FITTED_ON, CalibrationSet, observe
from training.evaluation.report import Task, around_markers, write_card, write_report, write_scores
from training.evaluation.subject import How, load_checker, read_judged
from training.evaluation.summary import compare as compare_scores


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--split", help="To fit on.  [default: world, or val where there is none]")
@click.option(
    "--sweep-faces",
    default=300,
    help="Faces, evenly over sources, that are corrupted to measure the limits; 0 keeps those of the config.",
)
@click.option("--seed", default=0)
@CACHE
@click.option("--max-risk", default=Criteria.max_risk, help="Share of the answers that may be wrong.")
@click.option("--min-coverage", default=Criteria.min_coverage, help="Share of the faces that get an answer at least.")
@click.option("--uncertain-share", type=float, help="In place of --max-risk: share of the faces that gets none.")
@click.option("--source-cap", type=float, help="Highest false-alarm rate on any one source of photographs, as 0.02.")
@click.option("--max-fpr", type=float, help="Ship the threshold of this false-alarm rate, as 0.01.")
def calibrate(
    weights: Path, data: Path, split: str | None, sweep_faces: int, seed: int, cache: Path | None, **asked: Any
) -> None:
    """Choose the decision and the limits on unseen sources, and write them into the config of WEIGHTS."""
    try:
        criteria = Criteria(**asked)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    rows, model = read_manifest(data), load_model(weights)
    split = _fitted_on(rows, split)
    rows = [row for row in rows if row.split == split]
    try:
        faces = CalibrationSet.of(observe(model, rows, FITTED_ON, cache))
        decision, fit = fit_and_state(faces, rows, criteria, split)
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    model = replace(model, config=replace(model.config, decision=decision))
    click.echo(decision_markdown(faces, decision, fit))
    if sweep_faces:
        limits, tables = measure_limits(model, stratified(rows, sweep_faces, seed))
        click.echo(f"{limits_markdown(tables)}\n\n{limits}")
        model = replace(model, config=replace(model.config, limits=limits))
    write_atomically(weights.with_suffix(".json"), model.config.to_json().encode())


@click.command(context_settings={"show_default": True})
@click.argument("weights", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--faces", type=click.IntRange(2), default=300, help="Of the train split, for the calibration.")
def quantize(weights: Path, data: Path, faces: int) -> None:
    """Make WEIGHTS int8 for OpenVINO, beside them, and print what is lost on unseen sources of DATA."""
    from training import quantize as work

    try:
        found = work.quantize(weights, read_manifest(data), data, faces)
    except ImportError as error:
        raise click.ClickException(f'{error}: pip install "facecheck[openvino,training]"') from error
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(work.losses_markdown(found))


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("data", type=FOLDER)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: evaluation/errors-NAME]")
@click.option("--split", help="That the table is made from.  [default: world, or val where there is none]")
@click.option("--stability", default=0, help="Also try the stability check on so many faces, evenly over sources.")
@CACHE
@click.option("--install", is_flag=True, help="Write the table beside the weights too, where facecheck reads it.")
@click.option("--device", default="auto")
def errors(
    model: str, data: Path, out: Path | None, split: str | None, stability: int, cache: Path | None, install: bool,
    device: str,
) -> None:  # fmt: skip
    """Count how often answers of MODEL are wrong, by p_fake, face size, sharpness, compression and pose.

    A stopped run goes on where it was. On a split that is not "world" the network has learned from the sources, and
    facecheck then states no rate.
    """
    name = DEFAULT_MODEL if model == "default" else model
    try:
        weights, loaded, rows = find_weights(name), load_model(name), read_manifest(data)
        split = _fitted_on(rows, split)
        rows = [row for row in rows if row.split == split]
        command = f"python -m training errors {Path(model).name} DATA --split {split}"
        found = measure_errors(loaded, rows, data, command, cache, device)
        parts = stable_and_not(judge_stability(loaded, rows, stability, device), loaded.config) if stability else []
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    folder = out or Path("evaluation") / f"errors-{loaded.config.name}-{loaded.config.version}"
    folder.mkdir(parents=True, exist_ok=True)
    places = [folder / f"{loaded.config.name}.errors.json", *([weights.with_suffix(".errors.json")] if install else [])]
    for place in places:
        write_atomically(place, found.table.to_json().encode())
    click.echo(errors_markdown(found, parts))


SCORES = click.Path(exists=True, path_type=Path)
CURVE_FACES, ROUNDS = 300, 500
TOLD = {
    "split": "split", "leave_out": "leave-out", "beside": "beside", "tiers": "tiers", "curve_faces": "curve-faces",
    "other": "compare", "threshold": "threshold", "engine": "engine", "precision": "precision",
}  # fmt: skip
"""Parameters that change the numbers, and their options."""


def _tiers(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    tiers = tuple(text.split(","))
    if unknown := set(tiers) - set(TIERS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
    return tiers


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("data", type=FOLDER)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: evaluation/NAME-VERSION]")
@click.option("--split", help="[default: world, or test where there is none]")
@click.option("--leave-out", multiple=True, help="Leave this source out, such as one that a model has learned from.")
@click.option("--beside", help="Another split, in a section of its own.  [default: test, where --card is given]")
@click.option("--tiers", default=",".join(TIERS), callback=_tiers, help="For models; scores keep their own tiers.")
@click.option("--curves/--no-curves", default=True, help="Robustness curves, for models.")
@click.option("--curve-faces", default=CURVE_FACES, help="Faces that are corrupted step by step.")
@click.option("--compare", "other", help="A second MODEL, for a paired comparison; also an earlier version, as 0.2.0.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="In place of the shipped one, or of 0.5 for scores.")
@click.option("--rounds", default=ROUNDS, help="Of the bootstrap.")
@click.option("--card", type=FILE, help="Model card whose part between the evaluation markers is rewritten.")
@CACHE
@click.option("--device", default="auto")
@click.option("--engine", type=click.Choice(ENGINES), default=TORCH, help="That computes; torch is the reference.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=AUTO, help="Of the engine; torch's own is f32.")
@click.pass_context
def evaluate(
    context: click.Context, /, model: str, data: Path, out: Path | None, split: str | None, leave_out: tuple[str, ...],
    beside: str | None, tiers: tuple[str, ...], curves: bool, curve_faces: int, other: str | None, rounds: int,
    card: Path | None, **how: Any,
) -> None:  # fmt: skip
    """Measure MODEL on a split of DATA/manifest.csv: tables, curves and pictures in one folder.

    MODEL is "default", a name, a version, a model's folder, a .safetensors or .onnx file with its .json, or scores: a
    .csv with the columns file and p_fake, a folder of them, or the folder of an earlier report.
    """
    with _plain_errors():
        everything = read_manifest(data)
        task = Task(everything, data, tiers, How(**how), split or judged_split(everything, "test"), leave_out, rounds)
        if card:
            around_markers(card)  # Before the work, not after it.
        judged = task.judge(model)
        folder = out or Path("evaluation") / judged.subject.slug
        write_scores(folder, judged.scores)
        points: Sequence[CurvePoint] = judged.curves
        if curves and judged.config:
            points = measure_curves(load_checker(model, task.how), stratified(task.rows, curve_faces))
        evaluation = task.evaluation(judged, _command(context), points, other)
        beside = beside or ("test" if card and task.split == WORLD else None)
        if beside:
            there = replace(task, split=beside, leave_out=())
            evaluation = replace(evaluation, beside=there.summarised(there.judge(model)))
        write_report(folder, evaluation, judged.scores)
        if card:
            write_card(card, evaluation)
    click.echo(f"{evaluation.printed()}\n\n{folder / 'report.md'}")


@click.command(context_settings={"show_default": True})
@click.argument("first", type=SCORES)
@click.argument("second", type=SCORES)
@click.option("--rounds", default=ROUNDS, help="Of the bootstrap.")
def compare(first: Path, second: Path, rounds: int) -> None:
    """Print how SECOND differs from FIRST, with intervals: report folders, or .csv files with labels.

    Two reports on the split world are drawn anew by whole sources, others by groups.
    """
    with _plain_errors():
        pair = [read_judged(path) for path in (first, second)]
        unseen = all(each.split == WORLD for each in pair)
        found = compare_scores(pair[0].scores, pair[1].scores, rounds, over_sources=unseen)
    known = {each.split for each in pair} - {""}
    basis = UNSEEN if unseen else LEARNED if known else "Sources of which nobody said whether they were learned from"
    click.echo(f"{basis}\n\n{tables.differences(found, pair[0].subject.title, pair[1].subject.title)}")


def _command(context: click.Context) -> str:
    """What makes the report again; of paths only the last part, for they are nobody else's."""
    words = ["python -m training evaluate", Path(context.params["model"]).name, "DATA"]
    for name, option in TOLD.items():
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            value = context.params[name]
            each = value if name == "leave_out" else [",".join(value) if name == "tiers" else value]
            words += [f"--{option} {Path(str(text)).name}" for text in each]
    return " ".join(words if context.params["curves"] else [*words, "--no-curves"])


def _fitted_on(rows: Sequence[FaceFile], split: str | None) -> str:
    """The split that rates come from: what was asked for, or world, or val, with a word where that is not the world."""
    split = split or judged_split(rows, "val")
    if split != WORLD:
        click.echo(f"split {split}: {LEARNED.lower()}. On unseen sources nothing is measured.", err=True)
    return split


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What the user can mend is a message, not a traceback."""
    try:
        yield
    except (FacecheckError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@click.command(context_settings={"show_default": True})
@click.argument("data", type=FOLDER)
@click.option(
    "--model", "models", multiple=True, default=(DEFAULT_MODEL,), help="Name or path; several stand in columns."
)
@click.option("--split", default=WORLD)
@click.option("--faces", default=300, help="Photographs, drawn evenly from their sources.")
@click.option("--engine", default="auto")
def processed(data: Path, models: tuple[str, ...], split: str, faces: int, engine: str) -> None:
    """Count how often photographs of a split of DATA are called generated after a phone or an app processed them."""
    photographs = [row for row in read_manifest(data) if row.split == split and row.label == "real"]
    if not photographs:
        raise click.ClickException(f"{data} has no photographs in split {split!r}")
    chosen = [row for row in stratified(photographs, 2 * faces) if row.label == "real"]
    found = []
    for name in models:
        with FaceChecker(name, engine=engine) as checker:
            title = f"{checker.config.name} {checker.config.version}"
            found.append((title, measure_processing(checker, chosen)))
    sources = len({row.source for row in chosen})
    click.echo(f"{sources_of(split)}, split {split}: {len(chosen)} photographs of {sources} sources.")
    click.echo("In brackets the share called `fake`.\n")
    click.echo(processing_markdown(found))
