"""From logits to probabilities and verdicts; how the numbers in between are chosen: docs/calibration.md."""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from facecheck.errors import ModelError
from facecheck.result import Budget, Verdict

Floats = npt.NDArray[np.float64]
BORDERLINE = "borderline"


@dataclass(frozen=True)
class Knot:
    """Temperature and bias at one face size; between two knots both are interpolated over log(face_px).

    Attributes:
        face_px: longer side of the face's box, pixels of the picture as given.
    """

    face_px: float
    temperature: float
    bias: float

    def __post_init__(self) -> None:
        if not (self.face_px > 0 and self.temperature > 0 and math.isfinite(self.bias)):
            raise ModelError(f"{self} must have face_px > 0, temperature > 0 and a finite bias")


@dataclass(frozen=True)
class Decision:
    """How a logit becomes a probability and a verdict; chosen on validation data, see docs/calibration.md.

    Attributes:
        temperature, bias: p_fake = sigmoid((logit - bias) / temperature) where the size of the face is not known or
            there are no knots.
        threshold: the one p_fake that parts real from fake when an answer is forced.
        uncertain_from, uncertain_to: p_fake in this half-open band is answered with `uncertain`.
        knots: temperature and bias by face size, sizes rising.
        budgets: false-alarm rates that a user may ask for instead of the threshold, rising.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    uncertain_from: float = 0.5
    uncertain_to: float = 0.5
    bias: float = 0.0
    knots: tuple[Knot, ...] = ()
    budgets: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ModelError(f"temperature is {self.temperature!r}; it must be above 0")
        if not math.isfinite(self.bias):
            raise ModelError(f"bias is {self.bias!r}; it must be finite")
        if not 0 <= self.uncertain_from <= self.threshold <= self.uncertain_to <= 1:
            raise ModelError(f"{self} must have 0 <= uncertain_from <= threshold <= uncertain_to <= 1")
        _require_rising("face_px of the knots", [knot.face_px for knot in self.knots])
        _require_rising("max_fpr of the budgets", [budget.max_fpr for budget in self.budgets])
        for budget in self.budgets:
            if not (0 < budget.max_fpr < 1 and 0 <= budget.threshold <= 1):
                raise ModelError(f"{budget} must have max_fpr in (0, 1) and threshold in [0, 1]")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The decision in a config's JSON; that of 0.1.0 has neither bias nor knots nor budgets."""
        return cls(
            **values
            | {
                "knots": tuple(Knot(**knot) for knot in values.get("knots", ())),
                "budgets": tuple(Budget(**budget) for budget in values.get("budgets", ())),
            }
        )

    def budget(self, max_fpr: float) -> Budget:
        """The stored budget for a false-alarm rate.

        Raises:
            ModelError: it is not stored; a rate between two stored ones was never measured.
        """
        for budget in self.budgets:
            if math.isclose(budget.max_fpr, max_fpr):
                return budget
        known = ", ".join(f"{budget.max_fpr:g}" for budget in self.budgets)
        advice = f"use one of {known}" if known else "it has none at all: `python -m training calibrate` measures them"
        raise ModelError(f"no false-alarm budget {max_fpr!r} is stored with the model; {advice}")

    def within(self, budget: Budget) -> Self:
        """This decision under a false-alarm budget.

        The budget's threshold takes the place of the shipped one. What the shipped threshold or its band would have
        doubted or called fake, and the budget does not, is `uncertain`: an accusation withdrawn is no acquittal. Under
        a budget so loose that its threshold is below the shipped band nothing is uncertain.
        """
        lower = min(self.uncertain_from, budget.threshold)
        return dataclasses.replace(
            self, threshold=budget.threshold, uncertain_from=lower, uncertain_to=budget.threshold
        )


def _require_rising(what: str, values: list[float]) -> None:
    if any(not low < high for low, high in itertools.pairwise(values)):
        raise ModelError(f"{what} are {values}; they must rise")


def p_fake(logits: npt.ArrayLike, decision: Decision, face_px: npt.ArrayLike | None = None) -> Floats:
    """The probability that a face was generated: sigmoid((logit - bias) / temperature) (Platt 1999, Guo et al. 2017).

    Temperature and bias are interpolated between the decision's knots, linearly in log(face_px), and constant beyond
    the first and the last: hard bands would let p_fake jump when a face grows by one pixel.

    Args:
        logits: (N,), positive = fake.
        face_px: (N,) longer side of the face's box, pixels of the picture as given. None: the decision's pooled
            temperature and bias.
    """
    temperature, bias = _scale(decision, face_px)
    scaled = np.clip((np.asarray(logits, dtype=np.float64) - bias) / temperature, -60, 60)
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
