"""What stands beside a model's weights, read and checked without torch: its config and its error rates."""

import dataclasses
import itertools
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from facecheck.error_rates import Budget
from facecheck.errors import ModelError
from facecheck.sanitising import shortened

Channels = tuple[float, float, float]
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
LARGEST_CONFIG_BYTES = 1 << 20
INPUT_SIZES, LARGEST_MARGIN, SMALLEST_STD = range(8, 2049), 10.0, 1e-3


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
class Criteria:
    """What is asked of a decision when it is fitted.

    Attributes:
        max_risk, min_coverage: the uncertain band is the smallest that leaves at most `max_risk` of the answers wrong,
            as many photographs as generated faces among them; where no band that leaves `min_coverage` of the faces
            answered does that, the one of this coverage with the lowest risk.
        uncertain_share: in place of that, the share of all faces, the ones nearest to the threshold, that are answered
            with `uncertain`.
        source_cap: highest false-alarm rate on any single source of photographs that is large enough, in the tiers
            clean and web each. None: only the balanced accuracy counts.
        max_fpr: ship the threshold of this budget. None: the one with the highest balanced accuracy under the cap.
        budgets: false-alarm rates whose thresholds are stored for the user to choose from.
    """

    max_risk: float = 0.05
    min_coverage: float = 0.8
    uncertain_share: float | None = None
    source_cap: float | None = None
    max_fpr: float | None = None
    budgets: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05)

    def __post_init__(self) -> None:
        if self.source_cap is not None and self.max_fpr is not None:
            raise ValueError("a cap on every source and a budget each choose the threshold; ask for one of them")
        rates = [rate for rate in (self.source_cap, self.max_fpr, *self.budgets) if rate is not None]
        shares = self.max_risk, self.min_coverage, self.uncertain_share or 0.0
        if not all(0 < rate < 1 for rate in rates) or not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"{self} must have rates in (0, 1) and shares in [0, 1]")


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
        fitted_on: the split of the data that it was fitted on, such as "world"; empty where that is not known.
        criteria: what it was fitted to.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    uncertain_from: float = 0.5
    uncertain_to: float = 0.5
    bias: float = 0.0
    knots: tuple[Knot, ...] = ()
    budgets: tuple[Budget, ...] = ()
    fitted_on: str = ""
    criteria: Criteria = field(default_factory=Criteria)

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
        criteria = values.get("criteria", {})
        rates = {"budgets": tuple(criteria["budgets"])} if "budgets" in criteria else {}
        return cls(
            **values
            | {
                "knots": tuple(Knot(**knot) for knot in values.get("knots", ())),
                "budgets": tuple(Budget(**budget) for budget in values.get("budgets", ())),
                "criteria": Criteria(**criteria | rates),
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

    def kept_to(self, max_fpr: float | None) -> tuple[Budget | None, Self]:
        """The stored budget for a false-alarm rate and this decision under it; None leaves the decision as it is.

        Raises:
            ModelError: see `budget`.
        """
        budget = None if max_fpr is None else self.budget(max_fpr)
        return budget, self if budget is None else self.within(budget)

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


@dataclass(frozen=True)
class Limits:
    """Beyond these the measured error is not acceptable and the answer is `uncertain`; units: `facecheck.quality`."""

    min_face_px: float = 0.0
    min_sharpness: float = 0.0
    max_blockiness: float = 1e9
    max_outside: float = 1.0


@dataclass(frozen=True)
class ModelConfig:
    """Everything a checkpoint needs at inference.

    Attributes:
        input_size: side of the square input, pixels.
        crop_margin: side of the crop as a multiple of the longer side of the face box.
        mean, std: per RGB channel, for pixels in [0, 1].
        classes: what logits below and above zero speak for.
        sha256: of the .safetensors file; empty only while a model is being made.
    """

    name: str
    version: str
    architecture: str = "resnet50"
    input_size: int = 224
    crop_margin: float = 1.3
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    classes: tuple[str, str] = ("real", "fake")
    decision: Decision = field(default_factory=Decision)
    limits: Limits = field(default_factory=Limits)
    licence: str = ""
    training_data: tuple[str, ...] = ()
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.input_size not in INPUT_SIZES:
            raise ModelError(f"input_size is {self.input_size!r}; it must be from 8 to 2048 pixels")
        if not 0 < self.crop_margin <= LARGEST_MARGIN:
            raise ModelError(f"crop_margin is {self.crop_margin!r}; it must be above 0, up to {LARGEST_MARGIN:g}")
        if not all(map(math.isfinite, self.mean)) or not all(SMALLEST_STD <= one < math.inf for one in self.std):
            raise ModelError(f"mean {self.mean} and std {self.std} must be finite, std at least {SMALLEST_STD:g}")

    def to_json(self) -> str:
        """The config as JSON text, keys in the order of the fields."""
        return json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The config that `to_json` wrote.

        Raises:
            ModelError: not JSON, a field unknown, missing, of the wrong kind or without sense.
        """
        try:
            values: dict[str, Any] = json.loads(text, parse_constant=_not_finite)
            for key in ("mean", "std", "classes", "training_data"):
                if isinstance(values.get(key), list):
                    values[key] = tuple(values[key])
            values["decision"] = Decision.from_dict(values.get("decision", {}))
            values["limits"] = Limits(**values.get("limits", {}))
            config = cls(**values)
            _require_kind(config, cls, "config")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"not a facecheck model config: {shortened(str(error))}; expected what ModelConfig.to_json writes"
            ) from error
        return config


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _require_kind(value: Any, kind: Any, where: str) -> None:
    """Refuse what is not of an annotated type, fields and members too; JSON knows no other kinds than these."""
    parts = typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        for name, hint in typing.get_type_hints(kind).items():
            _require_kind(getattr(value, name), hint, f"{where}.{name}")
    elif typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            raise TypeError(f"{where} is {shortened(repr(value))}, not a list")
        hints = [parts[0]] * len(value) if parts[1:] == (...,) else parts
        for number, (one, hint) in enumerate(zip(value, hints, strict=True)):
            _require_kind(one, hint, f"{where}[{number}]")
    elif isinstance(kind, types.UnionType):
        if value is not None:
            _require_kind(value, parts[0], where)
    elif isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise TypeError(f"{where} is {shortened(repr(value))}, not {kind.__name__}")
    elif kind is float and not math.isfinite(value):
        raise ValueError(f"{where} is {value}")
