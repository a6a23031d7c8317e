"""The table of error rates that stands beside the weights: what an answer is worth by p_fake, errors by measurement.

What an answer is worth is stored as likelihood ratios of sources that nobody has seen, so that the share of generated
faces among those that are asked about can be set later (`facecheck.error_rates`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from facecheck.batching import batches
from facecheck.calibration import share_of_fakes
from facecheck.checker import FaceChecker
from facecheck.error_rates import AnswerBand, ErrorTable
from facecheck.model.checkpoint import Model
from training.augment import TIERS
from training.crossfit import Judges, decide, judges_of, source_halves
from training.data import FaceFile, sources_of
from training.evaluation.corruptions import stratified
from training.evaluation.error_cells import HeldOut, JudgedFace, Part, error_cells, held_out
from training.evaluation.metrics import Floats, Indices, clustered_draws, effective_count, table, wilson
from training.evaluation.observations import MEASUREMENTS, RANDOM, Observations, delivered_at_random, observe
from training.evaluation.scores import Scores

EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
SMALLEST_BAND = 30
PREVALENCES = (0.5, 0.1, 0.01)
"""Files; bands with fewer are joined with a neighbour."""


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
    errors = ErrorTable(model.config.sha256, made_by, error_cells(faces), stated, answer_bands(scores))
    return Measured(errors, tuple(held_out(error_cells(halves[0]), halves[1])))


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
    return [JudgedFace(row.label, row.stratum, row.group, *each) for row, each in zip(rows, values, strict=True)]


def judge_stability(model: Model, rows: Sequence[FaceFile], faces: int, device: str = "auto") -> list[JudgedFace]:
    """So many of the rows, evenly over sources, each after a delivery drawn by chance, at the shipped threshold."""
    checker = FaceChecker(model, device=device, stability=True, engine="torch")
    chosen, found = stratified(rows, faces), []
    for batch in batches(tqdm(chosen, desc="stability", unit="face", disable=None), lambda _: 0):
        pictures, places, _ = delivered_at_random(checker, batch)
        for row, (face,) in zip(batch, checker.judge(pictures, places), strict=True):
            wrong = (face.p_fake >= checker.decision.threshold) != row.target
            flips = bool(face.stability and face.stability.flips)
            measured = asdict(face.quality) if face.quality else {}
            source = row.stratum
            found.append(JudgedFace(row.label, source, row.group, face.p_fake, wrong, flips=flips, **measured))
    return found


def answer_bands(scores: Scores, rounds: int = 500) -> tuple[AnswerBand, ...]:
    """Bands of p_fake in which the share of fakes rises, each with at least `SMALLEST_BAND` files; all tiers together.

    Neighbours whose order the data contradict are pooled (Ayer et al. 1955), so that a higher score is never worth
    less. Half a face is added to each class in each band: where none was seen, none is not proved.

    Args:
        scores: of unseen sources, each judged by a decision that was fitted on others.
        rounds: of the bootstrap over sources.
    """
    edges = _edges(scores)
    whole = np.arange(len(scores))
    found = _ratios(scores, edges, whole)
    draws = clustered_draws(scores.strata, scores.targets, rounds)
    low, high = np.quantile([_ratios(scores, edges, drawn) for drawn in draws], [0.025, 0.975], axis=0)
    outer = _wilson_ratios(scores, edges)
    bands = []
    for k, ratio in enumerate(found.tolist()):
        inside = _band_of(scores.p_fake, edges) == k
        bands.append(
            AnswerBand(
                float((0.0, *edges)[k]),
                float((*edges, 1.0)[k]),
                len(np.unique(scores.file[inside])),
                len(np.unique(scores.strata[inside])),
                ratio,
                min(float(low[k]), outer[k][0]),
                max(float(high[k]), outer[k][1]),
            )
        )
    return tuple(bands)


def _edges(scores: Scores) -> tuple[float, ...]:
    """Those of `EDGES` that leave every band large enough and the ratios rising."""
    kept = list(EDGES)
    while kept:
        bands = _band_of(scores.p_fake, kept)
        files = [len(np.unique(scores.file[bands == k])) for k in range(len(kept) + 1)]
        small = int(np.argmin(files))
        if files[small] < SMALLEST_BAND:
            del kept[_joint(small, files)]
            continue
        ratios = _ratios(scores, kept, np.arange(len(scores)))
        falling = np.flatnonzero(np.diff(ratios) <= 0)
        if not len(falling):
            break
        del kept[int(falling[0])]
    return tuple(kept)


def _joint(small: int, files: Sequence[int]) -> int:
    """The edge towards the smaller neighbour of a band."""
    if small in (0, len(files) - 1):
        return max(small - 1, 0)
    return small - 1 if files[small - 1] <= files[small + 1] else small


def _band_of(p_fake: Floats, edges: Sequence[float]) -> Indices:
    return np.asarray(np.searchsorted(edges, p_fake, side="right"), dtype=np.intp)


def _shares(scores: Scores, edges: Sequence[float], drawn: Indices) -> list[tuple[Floats, float]]:
    """Of photographs and of fakes: (bands,) shares, and how many faces they rest on."""
    weights, targets, bands = scores.weights[drawn], scores.targets[drawn], _band_of(scores.p_fake[drawn], edges)
    tiers = len(np.unique(scores.tier))
    found = []
    for target in (0, 1):
        mine = weights * (targets == target)
        share = np.bincount(bands, weights=mine, minlength=len(edges) + 1) / mine.sum()
        found.append((share, effective_count(weights[targets == target]) / tiers))
    return found


def _ratios(scores: Scores, edges: Sequence[float], drawn: Indices) -> Floats:
    (real, real_faces), (fake, fake_faces) = _shares(scores, edges, drawn)
    return np.asarray(_smoothed(fake, fake_faces) / _smoothed(real, real_faces))


def _smoothed(share: Floats, faces: float) -> Floats:
    return np.asarray((share * faces + 0.5) / (faces + 1))


def _wilson_ratios(scores: Scores, edges: Sequence[float]) -> list[tuple[float, float]]:
    """How far the ratios may be off by the number of faces alone: a source drawn anew does not add what none had."""
    (real, real_faces), (fake, fake_faces) = _shares(scores, edges, np.arange(len(scores)))
    low = _smoothed(fake, fake_faces) / [wilson(share * real_faces, real_faces)[1] for share in real.tolist()]
    high = np.array([wilson(share * fake_faces, fake_faces)[1] for share in fake.tolist()])
    return list(zip(low.tolist(), (high / _smoothed(real, real_faces)).tolist(), strict=True))


def errors_markdown(found: Measured, parts: Sequence[Part] = ()) -> str:
    """The likelihood ratios, the cells and how they hold on other sources, and the stability check if it was tried."""
    tables = [
        sources_of(found.table.split),
        _answers(found.table.bands),
        _cells(found.tried),
        *([_stability(parts)] if parts else []),
    ]
    return "\n\n".join(tables)


def _answers(bands: Sequence[AnswerBand]) -> str:
    names, rows = ["p_fake", "faces", "sources", "likelihood ratio [95 %]"], []
    names += [f"generated, of faces of which {share:.0%} are" for share in PREVALENCES]
    for band in bands:
        ratio = f"{band.likelihood_ratio:.3g} [{band.ratio_low:.3g}, {band.ratio_high:.3g}]"
        shares = (share_of_fakes(band, share) for share in PREVALENCES)
        cells = [f"{middle:.1%} [{low:.1%}, {high:.1%}]" for middle, low, high in shares]
        rows.append((f"{band.low:g} to {band.high:g}", band.faces, band.sources, ratio, *cells))
    return table(names, rows)


def _cells(tried: Sequence[HeldOut]) -> str:
    names = [
        "measurement", "range", "face, px", "error, half of the sources [95 %]", "the other half", "faces", "inside",
    ]  # fmt: skip
    rows = []
    for h in tried:
        cell, sizes = h.cell, f"{h.cell.from_px:g} to {h.cell.to_px or 'any'}"
        stated = f"{cell.error:.1%} [{cell.error_low:.1%}, {cell.error_high:.1%}] of {cell.faces}"
        inside = "yes" if h.inside else "no"
        rows.append((cell.measure, cell.range, sizes, stated, f"{h.error:.1%}", h.faces, inside))
    held, agree = sum(h.inside for h in tried), sum(h.agrees for h in tried)
    counted = f"Of {len(tried)} cells {held} are inside their interval and {agree} agree."
    return f"{table(names, rows)}\n\n{counted}"


def _stability(parts: Sequence[Part]) -> str:
    rows = ((p.name, p.faces, f"{p.accuracy:.1%}", f"{p.balanced:.1%}") for p in parts)
    return table(["answer", "faces", "right", "balanced"], rows)
