"""From logits to probabilities and verdicts, and how often such an answer is wrong.

How the numbers in between are chosen: docs/calibration.md.
"""

import numpy as np
import numpy.typing as npt

from facecheck.error_rates import DEFAULT_PREVALENCE, UNSEEN, AnswerBand, ChanceOfError, ErrorTable
from facecheck.errors import ModelError
from facecheck.model.config import Decision
from facecheck.result import Verdict

Floats = npt.NDArray[np.float64]


def p_fake(logits: npt.ArrayLike, decision: Decision, face_px: npt.ArrayLike | None = None) -> Floats:
    """The probability that a face was generated: sigmoid((logit - bias) / temperature) (Platt 1999, Guo et al. 2017).

    Temperature and bias are interpolated between the decision's knots, linearly in log(face_px), and constant beyond
    the first and the last: hard bands would let p_fake jump when a face grows by one pixel.

    Args:
        logits: (N,), positive = fake.
        face_px: (N,) longer side of the face's box, pixels of the picture as given. None: the decision's pooled
            temperature and bias.

    Raises:
        ModelError: a logit is no number.
    """
    temperature, bias = _scale(decision, face_px)
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ModelError("the model gives no number for a face; its weights or its config are damaged")
    scaled = np.clip((values - bias) / temperature, -60, 60)
    return np.asarray(1 / (1 + np.exp(-scaled)))


def near_a_border(
    logits: npt.ArrayLike, margin: float, decision: Decision, face_px: npt.ArrayLike | None = None
) -> npt.NDArray[np.bool_]:
    """(N,) whether another verdict lies within `margin` logits; the other arguments are those of `p_fake`."""
    borders = np.sort([decision.uncertain_from, decision.threshold, decision.uncertain_to])
    below, above = (
        np.searchsorted(borders, p_fake(np.asarray(logits) + step, decision, face_px), side="right")
        for step in (-margin, margin)
    )
    return np.asarray(below != above)


def _scale(decision: Decision, face_px: npt.ArrayLike | None) -> tuple[Floats | float, Floats | float]:
    if face_px is None or not decision.knots:
        return decision.temperature, decision.bias
    # A box from another detector may be empty.
    at = np.log(np.maximum(np.asarray(face_px, dtype=np.float64), 1))
    sizes = np.log([knot.face_px for knot in decision.knots])
    temperature = np.interp(at, sizes, [knot.temperature for knot in decision.knots])
    return temperature, np.interp(at, sizes, [knot.bias for knot in decision.knots])


def verdict(probability: float, decision: Decision) -> Verdict:
    """The verdict for one face that is good enough to be judged."""
    if decision.uncertain_from <= probability < decision.uncertain_to:
        return Verdict.UNCERTAIN
    return Verdict.FAKE if probability >= decision.threshold else Verdict.REAL


def chance_of_error(
    table: ErrorTable, answer: str, probability: float, prevalence: float = DEFAULT_PREVALENCE
) -> ChanceOfError | None:
    """How often such an answer is wrong; None for no answer, and where no unseen sources were measured.

    Args:
        answer: a word of `facecheck.Verdict`. probability: its p_fake.
        prevalence: share of generated faces among those that are asked about, in (0, 1).
    """
    if table.split != UNSEEN or not table.bands or answer not in (Verdict.REAL, Verdict.FAKE):
        return None
    band = next((band for band in table.bands if probability < band.high), table.bands[-1])
    fake, low, high = share_of_fakes(band, prevalence)
    wrong = (1 - fake, 1 - high, 1 - low) if answer == Verdict.FAKE else (fake, low, high)
    return ChanceOfError(*wrong, prevalence, band.faces, band.sources)


def share_of_fakes(band: AnswerBand, prevalence: float) -> tuple[float, float, float]:
    """How many of the faces in the band are generated, and the 95 % interval, by Bayes' theorem."""
    odds = prevalence / (1 - prevalence)
    ratios = (band.likelihood_ratio, band.ratio_low, band.ratio_high)
    share, low, high = (odds * ratio / (1 + odds * ratio) for ratio in ratios)
    return share, low, high
