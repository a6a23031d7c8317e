"""The words of the page and the server themselves: titles, buttons, consent, errors, and what to do next.

What a verdict, a reason or a limit means is said by `facecheck.explain.wording`, for the page as for everybody else.
All sentences are English here; a language is one file of `page/static/languages`, English sentence -> its own.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from facecheck.errors import ImageError
from facecheck.explain.wording import say
from facecheck.result import Verdict

LANGUAGES = Path(__file__).parent / "page" / "static" / "languages"
NAME = "Reality Check"
PROMISE = "Only this server sees your picture. It is kept in memory while you look at it, and forgotten when you leave."


HEAT = "Where the model looked"
NO_HEAT = "There is no heat map for this face."
NO_REPORT = "There is no report on this picture."
FILE_SAYS = "What the file says"
DETAILS = "Details"

BUSY = ("Many people are asking right now", "Please wait a few seconds and press the button again.")
LOADING = ("The model is waking up", "This takes a few seconds after the page was started. Your picture comes next.")
NOTHING_CHOSEN = ("No picture yet", "Choose, drop or paste a picture first, or try one of the examples.")
GONE = ("This picture is no longer here", "Pictures are forgotten after a while. Please choose it again.")
BROKEN = ("Something went wrong on our side", "Nothing of your picture was kept. Please try again in a moment.")
UNSENT = ("The picture did not arrive", "The connection to the server failed. Please try again.")
TOO_MANY = ("These are too many at once", "Choose up to 20 pictures.")
UNREADABLE = "This file cannot be judged"
STEPS = {"decode": "Reading the file", "detect": "Finding faces", "classify": "Judging them"}

HOW_IT_WORKS = (
    ("Choose", "A photo in which the face is large and clear."),
    ("Check", "Every face is found, and judged by itself."),
    ("Read", "What the answer means, how often it is wrong, and what you can do next."),
)
GUIDELINES = (
    "One or a few faces, large and clear: 100 pixels or more across is good.",
    "The best copy that you can get. Screenshots and pictures from messengers have lost traces.",
    "JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF; a clip as MP4, MOV or WebM.",
    "Faces only. Generated landscapes, texts, voices and edited backgrounds are not what this is for.",
)
GLOSSARY = (
    ("generated", "Made by a program, not by a camera: there is no such person, or the person was never there."),
    ("score", "How much a face is like the generated faces that the model has seen, from 0 to 100. It is no chance."),
    ("wrong 1 time in 10", "Counted on pictures from sources that the model had never seen. Yours may be harder."),
    ("model", "The program that compares faces. It learned from photographs and from generated faces."),
    ("heat map", "A picture of the face that is bright where the model looked. It proves nothing."),
    ("hash", "A fingerprint of the file. Two files with the same hash are the same file, bit for bit."),
)
SIGNS = {
    Verdict.REAL: "round badge, solid frame",
    Verdict.FAKE: "pointed badge, thick frame",
    Verdict.UNCERTAIN: "square badge on its corner, dashed frame",
}

SEARCHES = (
    ("Google Lens", "https://lens.google.com/"),
    ("TinEye", "https://tineye.com/"),
    ("Yandex", "https://yandex.com/images/"),
    ("Bing", "https://www.bing.com/visualsearch"),
)
SEARCH = (
    "Search for the picture.",
    "Open one of these, press its camera sign, and give it the file yourself. We send them nothing.",
)
FIRST = ("Look for its first publication.", "Sort what you find by date. Who showed it first, and with which words?")
ORIGINAL = (
    "Ask for the original file.",
    "As it came from the camera, sent as a file and not as a photo in a messenger.",
)
OTHERS = (
    "See if others checked it.",
    "Search for the claim with the words “fact check”, in the language of the claim.",
)
PLATFORM = (
    "Tell the platform",
    "if somebody is cheated or harmed with it. Keep the address and a screenshot first; things are often deleted.",
)
SECOND_SIGN = ("Look for a second sign.", "Do not publish or accuse on this answer alone. It is sometimes wrong.")
CAPTION = ("Check what is said about it.", "Many a fake is a real photograph with a false caption.")
BETTER_COPY = ("Find a better copy.", "Larger, sharper, not cropped. A search for the picture often finds one.")
LARGER_FACE = ("Is there a face?", "Then cut the picture closer to it, or find a larger copy.")
NEXT: dict[Verdict, tuple[tuple[str, str], ...]] = {
    Verdict.FAKE: (SECOND_SIGN, SEARCH, FIRST, ORIGINAL, OTHERS, PLATFORM),
    Verdict.REAL: (CAPTION, SEARCH, FIRST, OTHERS, ORIGINAL),
    Verdict.UNCERTAIN: (BETTER_COPY, SEARCH, ORIGINAL, FIRST, OTHERS),
    Verdict.NO_FACE: (LARGER_FACE, SEARCH, FIRST, OTHERS),
}
"""What to do after a verdict: the first words, and the rest of the sentence."""
STRANGER = "Is it the profile picture of somebody who wrote to you?"
STRANGERS = (
    "Love: they write much, love soon, never have time for a video call, and one day need money.",
    "Jobs: much pay for little work, talks on a messenger only, a fee or your identity card before the first day.",
    "Investment: a kind stranger, screenshots of profits, and a site on which you cannot take your money out.",
    "Ask for a video call, and for a hand that moves before the face. Send no money and no papers, and tell a friend.",
)

REPORT = "Take it with you"
REPORT_HOLDS = (
    "The whole case report, as one file that opens in every browser. In it: the picture with its faces, how often such "
    "an answer is wrong, heat maps, how the score moves when the picture is saved again, what the file says, the "
    "limits, the model, the hash of the file, and the time. It is made when you ask for it; nothing of it stays on "
    "this server."
)
CLIP_REPORT_HOLDS = (
    "The whole case report, as one file that opens in every browser. In it: each person with a strip of frames, their "
    "times and scores, the rule of the verdict, how much of the clip was seen, the limits, the model, the hash of the "
    "file, and the time. It is made when you ask for it; nothing of it stays on this server."
)
REPORT_SAVE, REPORT_PRINT = "Download the report", "Print it, or save it as PDF"

OBJECTION = "I think this is wrong"
OBJECTION_WORDS = (
    "Tell us what you know about the picture. Without your consent below, nothing is kept, and nothing is sent."
)
OBJECTION_STEPS = (
    "With your consent, the picture, your answer and the score are kept on this server as a case.",
    "You get a receipt code. With it you can take everything back, at any time, at the end of this page.",
    "A person looks at the case and decides. Only then may it help to teach the next model.",
)
CONSENT = (
    "I agree that this picture (without its metadata), my answer, my comment and the score are kept on this "
    "server and may be used, after a person has looked at them, to improve the model. I may share this picture. "
    "I can delete all of it at any time with the receipt code; what was already taken for training is removed at the "
    "next export."
)
NO_CONSENT = "Thank you. Because you did not consent, nothing was kept."
NO_LABEL = "Please say first what you know: photograph, or generated."
FULL = "Thank you. The store of this server is full, so nothing was kept."
DELETED = (
    "Deleted from the store of this server. What was already taken for training is removed at the next export; "
    "a model that was trained before then stays as it is."
)
NOT_FOUND = "There is no objection with this code. Nothing was deleted; please check the code letter by letter."

NOT_DELETED = "It could not be deleted now, and is still there. Please try again in a moment."


@cache
def languages() -> dict[str, Mapping[str, str]]:
    """The table of each language but English, by its code."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(LANGUAGES.glob("*.json"))}


def thanks(receipt: str) -> str:
    """What is said after an objection was kept."""
    kept = "Thank you. Your receipt code is {receipt}. Write it down: with it you can delete everything again."
    return say(kept, receipt=receipt)


def unreadable(error: ImageError) -> tuple[str, str]:
    """Headline and sentence for a file that is no picture; the library's message without the name of its input."""
    _, _, reason = str(error).partition(": ")
    sentence = reason or str(error)
    return UNREADABLE, f"{sentence[:1].upper()}{sentence[1:]}."


def too_large(max_mb: int) -> tuple[str, str]:
    """Headline and sentence for an upload beyond the limit."""
    accepted = "Files up to {max_mb} MB are accepted. Please choose a smaller copy."
    return "This file is too large", say(accepted, max_mb=max_mb)
