"""What the plan varies: attributes of a person and of a photograph, their values, what does not go together; and cells.

A plan file carries its own copy of the values and weights, so that a person can edit them; these are the defaults.

In a cell three attributes are crossed, and the others spread evenly over the cells. A full cross product of thirteen
attributes would need billions of pictures, and independent draws would leave some values short by chance. Here every
value is used as often as its weight asks, to within one cell, and consecutive cells (which share age, gender and skin
tone) see many different values, as in a Latin hypercube (McKay et al. 1979).
"""

import contextlib
import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Weights = dict[str, dict[str, float]]
"""Attribute -> value -> relative weight."""
Attributes = dict[str, str]
TRIES = 20
"""A small plan may draw values that have no place beside each other; it then draws again."""

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


class SamplingError(ValueError):
    """The weights ask for more implausible combinations than can be avoided."""


def draw(weights: Weights, cells: int, seed: int) -> list[Attributes]:
    """`cells` plausible combinations of the values in `weights`, ordered by stratum.

    Raises:
        SamplingError: an attribute has no plausible place for one of its values.
    """
    for attempt in range(1, TRIES):
        with contextlib.suppress(SamplingError):
            return _drawn(weights, cells, random.Random(f"{seed}/{attempt}"))
    return _drawn(weights, cells, random.Random(f"{seed}/{TRIES}"))


def _drawn(weights: Weights, cells: int, rng: random.Random) -> list[Attributes]:
    drawn = _strata(weights, cells, rng)
    for attribute, values in weights.items():
        if attribute not in STRATA:
            _spread(attribute, values, drawn, rng)
    return drawn


def quotas(weights: Mapping[str, float], total: int, rng: random.Random) -> dict[str, int]:
    """How often each value is due in `total` cells, by largest remainders: within one of its weighted share."""
    exact = {value: total * weight / sum(weights.values()) for value, weight in weights.items()}
    due = {value: int(share) for value, share in exact.items()}
    behind = sorted(exact, key=lambda value: (due[value] - exact[value], rng.random()))
    for value in behind[: total - sum(due.values())]:
        due[value] += 1
    return due


def _strata(weights: Weights, cells: int, rng: random.Random) -> list[Attributes]:
    """Strata for every cell: of those whose values are all still due, each time the one furthest behind its share."""
    due = [quotas(weights[name], cells, rng) for name in STRATA]
    shares = {
        stratum: math.prod(weights[name][value] for name, value in zip(STRATA, stratum, strict=True))
        for stratum in itertools.product(*(weights[name] for name in STRATA))
    }
    order = [stratum for stratum, share in shares.items() if share > 0]
    rng.shuffle(order)
    used: Counter[tuple[str, ...]] = Counter()

    def behind(stratum: tuple[str, ...]) -> tuple[float, float]:
        values = zip(STRATA, due, stratum, strict=True)
        return (used[stratum] + 0.5) / shares[stratum], -sum(left[v] / weights[name][v] for name, left, v in values)

    for _ in range(cells):
        possible = (one for one in order if all(left[value] for left, value in zip(due, one, strict=True)))
        stratum = min(possible, key=behind)
        used[stratum] += 1
        for left, value in zip(due, stratum, strict=True):
            left[value] -= 1
    return [dict(zip(STRATA, stratum, strict=True)) for stratum in shares for _ in range(used[stratum])]


def _spread(attribute: str, weights: Mapping[str, float], cells: list[Attributes], rng: random.Random) -> None:
    """Give every cell a value of `attribute`: each value at about equal distances, then away from implausible cells."""
    places = [
        ((turn + rng.random()) / count, value)
        for value, count in quotas(weights, len(cells), rng).items()
        for turn in range(count)
    ]
    values = [value for _, value in sorted(places)]

    def fits(cell: int, value: str) -> bool:
        return not implausible(cells[cell] | {attribute: value})

    for cell in range(len(cells)):
        if fits(cell, values[cell]):
            continue
        others = rng.sample(range(len(cells)), len(cells))
        swap = next((other for other in others if fits(cell, values[other]) and fits(other, values[cell])), None)
        if swap is None:
            raise SamplingError(
                f"no plausible place for so many cells with {attribute} {values[cell]!r}: lower its weight"
            )
        values[cell], values[swap] = values[swap], values[cell]
    for attributes, value in zip(cells, values, strict=True):
        attributes[attribute] = value
