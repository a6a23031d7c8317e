"""The table of error rates that stands beside the weights, from observations of a whole split."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from facecheck.checker import FaceChecker
from facecheck.error_rates import ErrorTable
from facecheck.model.checkpoint import Model
from training.calibration.crossfit import source_halves
from training.data import FaceFile
from training.evaluation.answers import answer_bands
from training.evaluation.corruptions import stratified
from training.evaluation.error_cells import HeldOut, JudgedFace, error_cells, held_out
from training.evaluation.observations import BATCH, MEASUREMENTS, RANDOM, Observations, delivered_at_random, observe
from training.evaluation.scores import Scores
from training.evaluation.verdicts import Judges, decide, judges_of
from training.tiers import TIERS


@dataclass(frozen=True)
class Measured:
    """The table, and how its cells do on sources that they were not made from.

    Attributes:
        tried: the cells of half of the sources, on the other half.
    """

    table: ErrorTable
    tried: tuple[HeldOut, ...]


def measure_errors(
    model: Model, rows: Sequence[FaceFile], root: Path, made_by: str, cache: Path | None = None, device: str = "auto"
) -> Measured:
    """Answers by p_fake from the three tiers, errors by measurement from deliveries drawn by chance.

    Each face is judged by a decision that was fitted on other sources. Where that cannot be had, for a class has one
    source only, the table names no split, and nothing is stated of unseen sources.

    Args:
        rows: all of one split. root: the folder of the manifest. made_by: the command, for the table.
    """
    judges = judges_of(model, rows, cache, device)
    split = rows[0].split
    stated = split if judges.crossfitted or model.config.decision.fitted_on != split else ""
    scores = answerable(observe(model, rows, tuple(TIERS), cache, device), judges, model, root)
    faces = judged_faces(observe(model, rows, (RANDOM,), cache, device), judges)
    side = source_halves(rows)
    halves = [[face for face in faces if side[face.source] == half] for half in (0, 1)]
    table = ErrorTable(model.config.sha256, made_by, error_cells(faces), stated, answer_bands(scores))
    return Measured(table, tuple(held_out(error_cells(halves[0]), halves[1])))


def answerable(observed: Observations, judges: Judges, model: Model, root: Path) -> Scores:
    """The files that are good enough to be answered, in every tier, whether or not they lie in the uncertain band."""
    open_bands = tuple(
        replace(one, uncertain_from=one.threshold, uncertain_to=one.threshold) for one in judges.decisions
    )
    scores = decide(observed, replace(judges, decisions=open_bands), model.config.limits, root)
    return scores.where(np.isin(scores.verdict, ("real", "fake")))


def judged_faces(observed: Observations, judges: Judges) -> list[JudgedFace]:
    """Each observed face with its forced answer."""
    limits = np.array([judges.decisions[turn].threshold for turn in judges.turns.tolist()])
    rows = [observed.rows[file] for file in observed.file.tolist()]
    probabilities = judges.p_fake(observed)
    targets = np.array([row.target for row in rows], dtype=np.int64)
    wrong = (probabilities >= limits[observed.file]) != targets
    columns = (probabilities, wrong, *(getattr(observed, name) for name in MEASUREMENTS))
    values = zip(*(column.tolist() for column in columns), strict=True)
    return [
        JudgedFace(row.label, f"{row.label}/{row.source}", row.group, *each)
        for row, each in zip(rows, values, strict=True)
    ]


def judge_stability(model: Model, rows: Sequence[FaceFile], faces: int, device: str = "auto") -> list[JudgedFace]:
    """So many of the rows, evenly over sources, each after a delivery drawn by chance, at the shipped threshold."""
    checker = FaceChecker(model, device=device, stability=True, engine="torch")
    chosen, found = stratified(rows, faces), []
    for start in tqdm(range(0, len(chosen), BATCH), desc="stability", unit="batch", disable=None):
        batch = chosen[start : start + BATCH]
        pictures, places, _ = delivered_at_random(checker, batch)
        for row, (face,) in zip(batch, checker.judge(pictures, places), strict=True):
            wrong = (face.p_fake >= checker.decision.threshold) != row.target
            flips = bool(face.stability and face.stability.flips)
            measured = asdict(face.quality) if face.quality else {}
            source = f"{row.label}/{row.source}"
            found.append(JudgedFace(row.label, source, row.group, face.p_fake, wrong, flips=flips, **measured))
    return found
