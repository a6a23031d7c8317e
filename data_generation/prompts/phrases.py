"""The words of the template writer: for each value of an attribute, ways to say it."""

FRAMES = (
    "a photo of",
    "portrait photo of",
    "candid photo of",
    "close-up photo of",
    "head and shoulders photo of",
    "everyday photo of",
    "photograph of",
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

CLOTHED = "in everyday clothes"

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
