"""What the plan varies: attributes of a person and of a photograph, their values, and what does not go together.

A plan file carries its own copy of the values and weights, so that a person can edit them; these are the defaults.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Weights = dict[str, dict[str, float]]
"""Attribute -> value -> relative weight."""

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
