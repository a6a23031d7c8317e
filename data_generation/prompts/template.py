"""Prompts from phrases: no network, no key, the same text for the same plan and seed."""

import random
from collections.abc import Mapping, Sequence

from data_generation.attributes import GROUP, NONE, SKIN_TONES, USE_CASE, USE_CASES
from data_generation.prompts import INSTRUCTIONS, TAGS, PromptTask

VERSION = "template-2"
"""Written into the record; goes up when the phrases change. 2: everybody is in everyday clothes."""

SUBJECT = ("age", "gender", "skin_tone", "hair", "hair_colour", "facial_hair")
ABOUT = ("expression", "head_pose", "eyewear", "headwear")
AROUND = ("setting", "lighting")
CAMERA = "camera"

FRAMES = (
    "a photo of {}",
    "portrait photo of {}",
    "candid photo of {}",
    "close-up photo of {}",
    "head and shoulders photo of {}",
    "everyday photo of {}",
    "photograph of {}",
)

PEOPLE = {
    ("child", "feminine"): ("girl of eight", "young girl", "ten-year-old girl"),
    ("child", "masculine"): ("boy of eight", "young boy", "ten-year-old boy"),
    ("child", "androgynous"): ("child of eight", "young child", "ten-year-old child"),
    ("teenager", "feminine"): ("teenage girl", "girl of sixteen"),
    ("teenager", "masculine"): ("teenage boy", "boy of sixteen"),
    ("teenager", "androgynous"): ("androgynous teenager", "androgynous sixteen-year-old"),
    ("young adult", "feminine"): ("young woman", "woman in her twenties", "25-year-old woman"),
    ("young adult", "masculine"): ("young man", "man in his twenties", "25-year-old man"),
    ("young adult", "androgynous"): ("young androgynous person", "androgynous person of 25"),
    ("middle-aged", "feminine"): ("middle-aged woman", "woman in her forties", "50-year-old woman"),
    ("middle-aged", "masculine"): ("middle-aged man", "man in his forties", "50-year-old man"),
    ("middle-aged", "androgynous"): ("middle-aged androgynous person", "androgynous person of 45"),
    ("elderly", "feminine"): ("elderly woman", "old woman", "woman in her seventies"),
    ("elderly", "masculine"): ("elderly man", "old man", "man in his seventies"),
    ("elderly", "androgynous"): ("elderly androgynous person", "androgynous person of 75"),
}

PRONOUNS = {"feminine": ("She", "is"), "masculine": ("He", "is")}
THEY = ("They", "are")
EVERYDAY = "in everyday clothes"
ORDINARY = (
    "ordinary light, skin as it is, nothing retouched",
    "a little noise, a background that is not tidy, no pose of a model",
    "natural skin with its marks, a picture like many others",
    "nothing glamorous, no perfect skin, no perfect light",
)
"""What generated portraits lack."""

HEADWEAR_THAT_HIDES_HAIR = frozenset({"headscarf", "hood", "knitted hat"})

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "facial_hair": {
        "stubble": ("stubble", "light stubble"),
        "moustache": ("a moustache",),
        "beard": ("a beard", "a full beard"),
    },
    "expression": {
        "neutral": ("neutral expression", "relaxed face", "calm expression"),
        "slight smile": ("slight smile", "smiling a little", "faint smile"),
        "broad smile": ("broad smile", "laughing", "smiling broadly"),
        "serious": ("serious look", "serious face", "stern expression"),
        "surprised": ("surprised look", "eyebrows raised in surprise", "surprised expression"),
        "sad": ("sad expression", "sad eyes", "looking sad"),
        "thoughtful": ("thoughtful look", "lost in thought", "pensive expression"),
        "talking": ("talking", "in the middle of a sentence", "mouth open while talking"),
    },
    "head_pose": {
        "frontal": ("facing the camera", "looking straight at the camera"),
        "slightly left": ("face turned slightly left", "looking a little to the left"),
        "slightly right": ("face turned slightly right", "looking a little to the right"),
        "three-quarter": ("three-quarter view", "face in three-quarter view"),
        "tilted": ("head tilted to one side", "head tilted"),
        "slightly down": ("chin slightly lowered", "head bent slightly down"),
    },
    "eyewear": {
        "thin-framed glasses": ("wearing thin-framed glasses", "thin metal glasses"),
        "thick-framed glasses": ("wearing thick-framed glasses", "thick dark glasses frames"),
        "sunglasses": ("wearing sunglasses", "sunglasses on"),
    },
    "headwear": {
        "baseball cap": ("wearing a baseball cap", "baseball cap on the head"),
        "knitted hat": ("wearing a knitted hat", "in a knitted winter hat"),
        "headscarf": ("wearing a headscarf", "hair covered by a headscarf"),
        "straw hat": ("wearing a straw hat", "straw hat on the head"),
        "hood": ("hood up", "wearing a hoodie with the hood up"),
    },
    "setting": {
        "plain wall": ("in front of a plain wall", "against a plain wall", "plain background"),
        "living room": ("in a living room", "at home in the living room"),
        "kitchen": ("in a kitchen", "in a small kitchen"),
        "office": ("in an office", "at an office desk"),
        "classroom": ("in a classroom", "at a desk in a classroom"),
        "cafe": ("in a cafe", "at a cafe table"),
        "corridor": ("in a corridor", "in a long corridor"),
        "street": ("on a street", "on a busy street"),
        "park": ("in a park", "in a park with trees"),
        "beach": ("on a beach", "at the beach"),
        "balcony": ("on a balcony", "on a balcony in the city"),
        "market": ("at a street market", "at a market stall"),
        "bathroom": ("in a bathroom", "in a small bathroom"),
        "bar": ("in a bar", "at a bar"),
        "car": ("in a car", "in the seat of a car"),
    },
    "lighting": {
        "hard midday sun": ("hard midday sun", "strong sunlight", "bright sun with hard shadows"),
        "overcast daylight": ("overcast daylight", "soft light of a cloudy day"),
        "golden hour sun": ("golden hour light", "low evening sun"),
        "lamp light": ("warm lamp light", "light of a lamp"),
        "fluorescent light": ("fluorescent light", "cold ceiling light"),
        "studio softbox": ("soft studio light", "studio softbox light"),
        "window light": ("soft window light", "light from a window"),
        "flash": ("direct flash", "on-camera flash"),
        "dim evening light": ("dim evening light", "little light, evening"),
        "backlight": ("backlit", "light from behind"),
        "street lamps at night": ("street lamps at night", "light of street lamps"),
    },
    "camera": {
        "smartphone": ("smartphone photo", "taken with a smartphone"),
        "front camera": ("selfie", "selfie with the front camera"),
        "webcam": ("webcam picture", "seen through a webcam"),
        "35 mm lens": ("35mm lens", "shot on a 35mm lens"),
        "50 mm lens": ("50mm lens", "shot on a 50mm lens"),
        "85 mm lens": ("85mm lens", "85mm portrait lens, blurred background"),
        "compact camera": ("compact camera snapshot", "taken with a compact camera"),
        "film camera": ("film photo, light grain", "shot on colour film"),
    },
}  # fmt: skip


class TemplateWriter:
    """A writer that picks among phrases, seeded by plan seed, cell, ordinal and attempt.

    Args:
        dialect: of `data_generation.prompts.DIALECTS`.
    """

    name = "template"
    batch = 64
    attempts = 100
    max_useless = 100

    def __init__(self, seed: int, dialect: str = TAGS) -> None:
        self.seed, self.dialect = seed, dialect
        self.model = VERSION if dialect == TAGS else f"{VERSION} {dialect}"

    def write(self, tasks: Sequence[PromptTask]) -> list[str]:
        return [self._text(task) for task in tasks]

    def _text(self, task: PromptTask) -> str:
        rng = random.Random(f"{self.seed}/{task.cell.id}/{task.ordinal}/{task.attempt}")
        attributes = task.cell.attributes
        subject = _subject(attributes, rng)
        case = USE_CASES.get(attributes.get(USE_CASE, ""))
        clothes = case.clothes if case else EVERYDAY
        if self.dialect == TAGS:
            shot = rng.choice(case.shot if case else FRAMES).format(subject)
            return _capital(", ".join([shot, clothes, *_clauses(attributes, rng)]))
        shot = rng.choice(case.shot if case else ("everyday photo of {}",)).format(subject)
        return _told(shot, clothes, attributes, rng, self.dialect == INSTRUCTIONS)


def _told(shot: str, clothes: str, attributes: Mapping[str, str], rng: random.Random, asked: bool) -> str:
    """Whole sentences; for a model that is given instructions, with what a photograph is."""
    who, are = PRONOUNS.get(attributes["gender"], THEY)
    about = [phrase for phrase in (_phrase(name, attributes, rng) for name in ABOUT) if phrase]
    known = {*SUBJECT, *ABOUT, *AROUND, CAMERA, USE_CASE}
    added = [_phrase(name, attributes, rng) for name in attributes if name not in known]
    place, light = (_phrase(name, attributes, rng) for name in AROUND)
    camera = _phrase(CAMERA, attributes, rng)
    lines = [
        f"Make a realistic photograph: {shot}." if asked else f"{_article(shot).capitalize()} {shot}.",
        f"{who} {are} {clothes}: {_listed([*about, *added])}." if about or added else f"{who} {are} {clothes}.",
        _capital(f"{_listed([each for each in (place, light, camera) if each])}.") if place or light or camera else "",
    ]
    if asked:
        people = "real people" if attributes.get(USE_CASE) == GROUP else "a real person"
        lines.append(f"It must look like a picture that somebody took of {people}: {rng.choice(ORDINARY)}.")
        lines.append("No text, no watermark, no frame, nothing drawn or rendered.")
    return " ".join(line for line in lines if line)


def _capital(text: str) -> str:
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
    added = [name for name in attributes if name not in {*SUBJECT, *names, CAMERA, USE_CASE}]
    phrases = [_phrase(name, attributes, rng) for name in [*names, *added, CAMERA]]
    return [phrase for phrase in phrases if phrase]


def _phrase(name: str, attributes: Mapping[str, str], rng: random.Random) -> str:
    """One way to say the value; a value that a person added to the plan speaks for itself."""
    value = attributes.get(name, NONE)
    return rng.choice(PHRASES.get(name, {}).get(value, ("" if value == NONE else value,)))


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiouI" else "a"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
