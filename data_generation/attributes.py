"""What the plan varies: attributes of a person and of a photograph, uses of pictures, and what does not go together.

A plan file carries its own copy of the values and weights, so that a person can edit them; these are the defaults.

Generated faces are met as headshots of companies, in dating profiles, as witnesses of products; and most photographs of
people are snapshots. A detector that sees generated studio portraits beside real snapshots learns that a studio means
"generated", and accuses companies. So a plan with use cases draws both: each asks something of framing, place, light
and camera.
"""

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_generation import PlanError

Weights = dict[str, dict[str, float]]
"""Attribute -> value -> relative weight."""
Attributes = dict[str, str]
USE_CASE = "use_case"
GROUP = "group"
NONE = "none"
STRATA = ("age", "gender", "skin_tone")
"""Crossed fully; the other attributes are spread over the cells."""

SKIN_TONES = {
    "monk-1": "very pale skin",
    "monk-2": "pale skin",
    "monk-3": "fair skin",
    "monk-4": "light olive skin",
    "monk-5": "tan skin",
    "monk-6": "light brown skin",
    "monk-7": "medium brown skin",
    "monk-8": "dark brown skin",
    "monk-9": "very dark brown skin",
    "monk-10": "deep black skin",
}
"""The ten tones of the Monk scale (Monk 2019, skintone.google) in words that a text-to-image model knows."""

ADULTS = ("young adult", "middle-aged", "elderly")
MINORS = ("child", "teenager")
MINOR_WORDS = re.compile(
    r"child|(?<!eigh)(?<!nine)teen|bab[yi]|born|infant|toddler|kid|boy|girl|adolescent|juvenile|youth|minor|month|week",
    re.IGNORECASE,
)
ADULT_WORDS = re.compile(
    r"\badult|middle-aged|elderly|senior|retired|pensioner|grand(?:mother|father|parent)|eighteen|nineteen|"
    r"\b(?:twent|thirt|fort|fift|sixt|sevent|eight|ninet)(?:y|ies)",
    re.IGNORECASE,
)
INDOORS = ("living room", "kitchen", "office", "classroom", "cafe", "corridor")
OUTDOORS = ("street", "park", "beach", "balcony", "market")
DAYLIGHT = ("hard midday sun", "overcast daylight", "golden hour sun")
LAMPS = ("lamp light", "fluorescent light", "studio softbox")


def _even(*values: str) -> dict[str, float]:
    return dict.fromkeys(values, 1.0)


DEFAULTS: Weights = {
    "age": _even("child", "teenager", *ADULTS),
    "gender": _even("feminine", "masculine", "androgynous"),
    "skin_tone": _even(*SKIN_TONES),
    "hair": _even(
        "short straight", "short curly", "shoulder-length wavy", "long straight", "long curly", "braided", "tied back",
        "shaved",
    ),
    "hair_colour": _even("black", "dark brown", "light brown", "blond", "red", "grey", "dyed"),
    "facial_hair": {NONE: 17.0} | _even("stubble", "moustache", "beard"),
    "expression": _even(
        "neutral", "slight smile", "broad smile", "serious", "surprised", "sad", "thoughtful", "talking"
    ),
    "head_pose": _even("frontal", "slightly left", "slightly right", "three-quarter", "tilted", "slightly down"),
    "eyewear": {NONE: 3.0} | _even("thin-framed glasses", "thick-framed glasses", "sunglasses"),
    "headwear": {NONE: 5.0} | _even("baseball cap", "knitted hat", "headscarf", "straw hat", "hood"),
    "setting": _even("plain wall", *INDOORS, *OUTDOORS),
    "lighting": _even(*DAYLIGHT, *LAMPS, "window light", "flash", "dim evening light", "backlight"),
    "camera": _even(
        "smartphone", "front camera", "webcam", "35 mm lens", "50 mm lens", "85 mm lens", "compact camera",
        "film camera",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Exclusion:
    """Values of one attribute that are implausible beside values of another."""

    attribute: str
    values: tuple[str, ...]
    other: str
    others: tuple[str, ...]

    def forbids(self, cell: Mapping[str, str]) -> bool:
        return cell.get(self.attribute) in self.values and cell.get(self.other) in self.others


EXCLUSIONS = (
    Exclusion("facial_hair", ("stubble", "moustache", "beard"), "age", ("child", "teenager")),
    Exclusion("facial_hair", ("stubble", "moustache", "beard"), "gender", ("feminine", "androgynous")),
    Exclusion("hair", ("shaved",), "age", ("child",)),
    Exclusion("hair_colour", ("grey",), "age", ("child", "teenager", "young adult")),
    Exclusion("hair_colour", ("dyed",), "age", ("child", "elderly")),
    Exclusion("headwear", ("knitted hat", "hood"), "setting", ("beach",)),
    Exclusion("headwear", ("straw hat",), "setting", ("office", "classroom")),
    Exclusion("lighting", DAYLIGHT, "setting", INDOORS),
    Exclusion("lighting", LAMPS, "setting", OUTDOORS),
    Exclusion("lighting", ("window light",), "setting", OUTDOORS),
    Exclusion("eyewear", ("sunglasses",), "lighting", (*LAMPS, "dim evening light")),
    Exclusion("camera", ("webcam",), "setting", OUTDOORS),
)
"""What `plan` never draws. A person who wants such a cell may still write it into the file."""


def is_minor(age: str) -> bool:
    """Whether an age of the plan, in its own words or in those of a person who edited it, may be below 18 years.

    What does not say that it is an adult's counts as a minor's; empty is no age.
    """
    years = [int(number) for number in re.findall(r"\d+", age)]
    is_adult = min(years) >= 18 if years else bool(ADULT_WORDS.search(age))
    return bool(age) and (not is_adult or bool(MINOR_WORDS.search(age)))


def implausible(cell: Mapping[str, str]) -> bool:
    """Whether two of the values, of the attributes that `cell` has so far, exclude each other."""
    return any(exclusion.forbids(cell) for exclusion in EXCLUSIONS)


@dataclass(frozen=True)
class UseCase:
    """One use.

    Attributes:
        shot: what it is, with {} for the person. clothes: what people wear for it.
        allowed: attribute -> the values that suit it, in place of what the plan drew.
        adults: whether nobody below 18 is shown so.
    """

    shot: tuple[str, ...]
    allowed: Mapping[str, tuple[str, ...]]
    clothes: str = "in everyday clothes"
    adults: bool = False


INSIDE = ("window light", "lamp light", "fluorescent light")
OUTSIDE = ("overcast daylight", "golden hour sun", "hard midday sun", "backlight")
CALM = ("neutral", "slight smile", "serious")
CLEAR = (NONE, "thin-framed glasses", "thick-framed glasses")
PHONES = ("smartphone", "front camera")
USE_CASES = {
    "company headshot": UseCase(
        ("company headshot of {}", "staff portrait of {} for a company website"),
        {
            "expression": (*CALM, "broad smile"), "eyewear": CLEAR, "headwear": (NONE, "headscarf"),
            "setting": ("plain wall", "office", "corridor"),
            "lighting": ("studio softbox", "window light", "fluorescent light"),
            "camera": ("50 mm lens", "85 mm lens", "smartphone"),
        },
        "in business clothes", adults=True,
    ),
    "dating profile": UseCase(
        ("photo of {} for a dating profile", "casual profile photo of {}"),
        {
            "expression": ("slight smile", "broad smile", "neutral", "talking"),
            "setting": ("cafe", "beach", "park", "balcony", "street", "living room", "car"),
            "lighting": (*OUTSIDE, *INSIDE), "camera": (*PHONES, "compact camera"),
        },
        adults=True,
    ),
    "mirror selfie": UseCase(
        ("selfie of {} in a mirror", "mirror selfie of {}, phone in the hand"),
        {
            "setting": ("bathroom", "corridor", "living room"), "lighting": (*INSIDE, "dim evening light"),
            "camera": ("smartphone",), "head_pose": ("frontal", "slightly left", "slightly right", "tilted"),
        },
    ),
    "testimonial": UseCase(
        ("testimonial photo of {}", "photo of a satisfied customer, {}"),
        {
            "expression": ("slight smile", "broad smile", "talking"),
            "setting": ("kitchen", "living room", "office", "plain wall", "park"),
            "lighting": (*INSIDE, "overcast daylight"), "camera": ("smartphone", "webcam", "50 mm lens"),
        },
        adults=True,
    ),
    "press portrait": UseCase(
        ("press portrait of {}", "newspaper portrait of {}"),
        {
            "expression": ("serious", "thoughtful", "neutral", "talking"), "eyewear": CLEAR,
            "setting": ("office", "street", "corridor", "market"),
            "lighting": ("overcast daylight", "window light", "fluorescent light", "flash"),
            "camera": ("35 mm lens", "85 mm lens"),
        },
        adults=True,
    ),
    "ID photo": UseCase(
        ("passport photo of {}", "ID photo of {}"),
        {
            "expression": ("neutral",), "head_pose": ("frontal",), "eyewear": (NONE, "thin-framed glasses"),
            "headwear": (NONE,), "setting": ("plain wall",), "lighting": ("flash", "fluorescent light"),
            "camera": ("compact camera", "webcam", "50 mm lens"),
        },
    ),
    "snapshot at night": UseCase(
        ("phone snapshot of {} at night", "blurry phone photo of {} at night"),
        {
            "eyewear": CLEAR, "setting": ("street", "bar", "balcony", "car"),
            "lighting": ("flash", "dim evening light", "street lamps at night"), "camera": PHONES,
        },
    ),
    GROUP: UseCase(
        ("group photo, in the middle {}", "photo of friends, in front {}"),
        {
            "setting": ("park", "beach", "living room", "cafe", "office", "street"), "lighting": (*OUTSIDE, *INSIDE),
            "camera": ("smartphone", "compact camera"),
        },
    ),
}  # fmt: skip
EXTRA = {"setting": ("bathroom", "bar", "car"), "lighting": ("street lamps at night",)}
"""Values that only use cases have."""


def with_use_cases(weights: Weights) -> Weights:
    """The values of a plan, and those of use cases, each use as often as the others."""
    more = {name: dict.fromkeys(values, 1.0) for name, values in EXTRA.items()}
    whole = {name: values | more.get(name, {}) for name, values in weights.items()}
    return whole | {USE_CASE: dict.fromkeys(USE_CASES, 1.0)}


def reweighted(weights: Weights, changes: Mapping[tuple[str, str], float]) -> Weights:
    """A copy of `weights` with other weights for some (attribute, value) pairs.

    Raises:
        PlanError: there is no such attribute or value.
    """
    copy = {name: dict(values) for name, values in weights.items()}
    for (name, value), weight in changes.items():
        if name not in copy:
            raise PlanError(f"there is no attribute {name!r}: choose one of {', '.join(copy)}")
        if value not in copy[name]:
            raise PlanError(f"{name} has no value {value!r}: choose one of {', '.join(copy[name])}")
        copy[name][value] = weight
    return copy


def quotas(weights: Mapping[str, float], total: int, rng: random.Random) -> dict[str, int]:
    """How often each value is due in `total` cells, by largest remainders: within one of its weighted share."""
    exact = {value: total * weight / sum(weights.values()) for value, weight in weights.items()}
    due = {value: int(share) for value, share in exact.items()}
    behind = sorted(exact, key=lambda value: (due[value] - exact[value], rng.random()))
    for value in behind[: total - sum(due.values())]:
        due[value] += 1
    return due


def check_weights(weights: Any) -> None:
    """Refuse what are no values with weights.

    Raises:
        PlanError: the message names the attribute and the value.
    """
    if not isinstance(weights, dict):
        raise PlanError("attributes must be an object of attribute -> value -> weight")
    for name in STRATA:
        if name not in weights:
            raise PlanError(f"attributes must have {name!r}")
    for name, values in weights.items():
        if not isinstance(values, dict) or not values or "" in values:
            raise PlanError(f"attributes: {name} must be an object of value -> weight")
        for value, weight in values.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise PlanError(f"attributes: the weight of {name} {value!r} must be a number from 0, got {weight!r}")
        if not sum(values.values()):
            raise PlanError(f"attributes: all weights of {name} are 0")
