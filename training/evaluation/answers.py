"""What an answer is worth: how often faces with such a p_fake are generated, measured on sources that nobody has seen.

Stored as likelihood ratios, so that the share of generated faces among those that are asked about can be set later
(`facecheck.error_rates`).
"""

from collections.abc import Sequence

import numpy as np

from facecheck.error_rates import AnswerBand
from training.evaluation.metrics import Floats, Indices, clustered_draws, effective_count, wilson
from training.evaluation.scores import Scores

EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
SMALLEST_BAND = 30
"""Files; bands with fewer are joined with a neighbour."""


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
