"""The pictures that faces come in: what each use asks of framing, place, light and camera.

Generated faces are met as headshots of companies, in dating profiles, as witnesses of products; and most photographs of
people are snapshots. A detector that sees generated studio portraits beside real snapshots learns that a studio means
"generated", and accuses companies. So a plan with use cases draws both.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_generation.attributes import NONE, Attributes, SamplingError, Weights, implausible, is_minor

USE_CASE = "use_case"
GROUP = "group"


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


def suit(cells: Sequence[Attributes], weights: Weights, seed: int) -> None:
    """Give every cell, in place, values that suit its use case: plausible ones, each about as often as the others.

    A use that a person added to the plan asks for nothing. Values of weight 0 are not drawn.

    Raises:
        SamplingError: there are too few adults, or no value is left for a use case.
    """
    rng = random.Random(f"{seed}/{USE_CASE}")
    _keep_minors_out(cells, rng)
    used: Counter[tuple[str, str, str]] = Counter()
    for cell in cells:
        case = cell[USE_CASE]
        for attribute, values in (USE_CASES[case].allowed if case in USE_CASES else {}).items():
            possible = [value for value in values if weights[attribute].get(value, 0) > 0]
            fitting = [value for value in possible if not implausible(_others(cell, attribute) | {attribute: value})]
            if not fitting:
                raise SamplingError(f"no {attribute} suits the use case {case!r}: give one of its values a weight")
            rng.shuffle(fitting)
            counts = {value: used[case, attribute, value] for value in fitting}
            value = min(fitting, key=counts.__getitem__)
            used[case, attribute, value] += 1
            cell[attribute] = value


def _others(cell: Attributes, attribute: str) -> Attributes:
    """What a value must go with: a cell without what is still to be drawn for its use case."""
    names = list(USE_CASES[cell[USE_CASE]].allowed)
    later = set(names[names.index(attribute) :])
    return {name: value for name, value in cell.items() if name not in later}


def _keep_minors_out(cells: Sequence[Attributes], rng: random.Random) -> None:
    adult_only = {name for name, case in USE_CASES.items() if case.adults}
    wrong = [cell for cell in cells if cell[USE_CASE] in adult_only and is_minor(cell["age"])]
    free = [cell for cell in cells if cell[USE_CASE] not in adult_only and not is_minor(cell["age"])]
    if len(wrong) > len(free):
        raise SamplingError("too few adults for the use cases that show adults only: lower the weight of minors")
    for cell, other in zip(wrong, rng.sample(free, len(wrong)), strict=True):
        cell[USE_CASE], other[USE_CASE] = other[USE_CASE], cell[USE_CASE]
