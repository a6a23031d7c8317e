"""Prompts from phrases: no network, no key, the same text for the same plan and seed."""

import random
from collections.abc import Mapping, Sequence

from data_generation.attributes import NONE, SKIN_TONES
from data_generation.prompts.phrases import CLOTHED, FRAMES, HEADWEAR_THAT_HIDES_HAIR, PEOPLE, PHRASES
from data_generation.prompts.writing import Wish

VERSION = "template-2"
"""Written into the record; goes up when the phrases change. 2: everybody is in everyday clothes."""

SUBJECT = ("age", "gender", "skin_tone", "hair", "hair_colour", "facial_hair")
ABOUT = ("expression", "head_pose", "eyewear", "headwear")
AROUND = ("setting", "lighting")
CAMERA = "camera"


class TemplateWriter:
    """A writer that picks among phrases, seeded by plan seed, cell, ordinal and attempt."""

    name = "template"
    model = VERSION
    batch = 64
    attempts = 100
    hopeless = 100

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def write(self, wishes: Sequence[Wish]) -> list[str]:
        return [self._text(wish) for wish in wishes]

    def _text(self, wish: Wish) -> str:
        rng = random.Random(f"{self.seed}/{wish.cell.id}/{wish.ordinal}/{wish.attempt}")
        attributes = wish.cell.attributes
        subject = _subject(attributes, rng)
        clauses = _clauses(attributes, rng)
        text = ", ".join([f"{rng.choice(FRAMES)} {subject}", CLOTHED, *clauses])
        return text[0].upper() + text[1:]


def _subject(attributes: Mapping[str, str], rng: random.Random) -> str:
    """Who it is: "a middle-aged woman with tan skin, short curly grey hair and a moustache"."""
    age, gender, skin = attributes["age"], attributes["gender"], attributes["skin_tone"]
    person = rng.choice(PEOPLE.get((age, gender), (f"{age} {gender} person",)))
    features = [SKIN_TONES.get(skin, f"{skin} skin"), _hair(attributes), _phrase("facial_hair", attributes, rng)]
    return f"{_article(person)} {person} with {_listed([feature for feature in features if feature])}"


def _hair(attributes: Mapping[str, str]) -> str:
    hair, colour = attributes.get("hair", ""), attributes.get("hair_colour", "")
    if attributes.get("headwear") in HEADWEAR_THAT_HIDES_HAIR or not hair + colour:
        return ""
    if hair == "shaved":
        return "a shaved head"
    return " ".join(word for word in (hair.replace("tied back", "tied-back"), colour, "hair") if word)


def _clauses(attributes: Mapping[str, str], rng: random.Random) -> list[str]:
    """What the person does and where, in one of two orders, then what somebody added to the plan, then the camera."""
    names = [*ABOUT, *AROUND] if rng.random() < 0.6 else [*AROUND, *ABOUT]
    added = [name for name in attributes if name not in {*SUBJECT, *names, CAMERA}]
    phrases = [_phrase(name, attributes, rng) for name in [*names, *added, CAMERA]]
    return [phrase for phrase in phrases if phrase]


def _phrase(name: str, attributes: Mapping[str, str], rng: random.Random) -> str:
    """One way to say the value; a value that a person added to the plan speaks for itself."""
    value = attributes.get(name, NONE)
    return rng.choice(PHRASES.get(name, {}).get(value, ("" if value == NONE else value,)))


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
