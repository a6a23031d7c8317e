"""The words of the page and the server themselves: titles, buttons, consent, errors.

What a verdict, a reason or a limit means is said by `facecheck.explain.wording`, for the page as for everybody else.
"""

from facecheck.errors import ImageError

NAME = "Reality Check"
PROMISE = "Only this server sees your picture. It is kept in memory while you look at it, and forgotten when you leave."

TURNED = "The picture was lying on its side or upside down. It was turned before it was judged."

HEAT = "Where the model looked"
NO_HEAT = "There is no heat map for this face."
FILE_SAYS = "What the file says"
DETAILS = "Details"

BUSY = ("Many people are asking right now", "Please wait a few seconds and press the button again.")
LOADING = ("The model is waking up", "This takes a few seconds after the page was started. Your picture comes next.")
NOTHING_CHOSEN = ("No picture yet", "Choose, drop or paste a picture first, or try one of the examples.")
GONE = ("This picture is no longer here", "Pictures are forgotten after a while. Please choose it again.")
BROKEN = ("Something went wrong on our side", "Nothing of your picture was kept. Please try again in a moment.")
UNSENT = ("The picture did not arrive", "The connection to the server failed. Please try again.")
UNREADABLE = "This file cannot be judged"

HOW_IT_WORKS = (
    ("Choose", "A photo in which the face is visible and prominent."),
    ("Check", "Every face is found and scored by itself."),
    ("Read", "What the score means, what it does not, and why it may be unsure."),
)
GUIDELINES = (
    "One or a few faces, visible and prominent: 100 pixels or more across is good, less than 32 is too small.",
    "The best copy that you can get. Screenshots and pictures from messengers have lost traces.",
    "JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF; a clip as MP4, MOV or WebM. Not for HEIC: save it as JPEG first.",
    "Faces only. Generated landscapes, texts, voices, drawings and edited backgrounds are not what this is for.",
)

OBJECTION = "I think this is wrong"
OBJECTION_WORDS = (
    "Tell us what you know about the picture. Without your consent below, nothing is kept, and nothing is sent."
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


def thanks(receipt: str) -> str:
    """What is said after an objection was kept."""
    return f"Thank you. Your receipt code is {receipt}. Write it down: with it you can delete everything again."


def unreadable(error: ImageError) -> tuple[str, str]:
    """Headline and sentence for a file that is no picture; the library's message without the name of its input."""
    _, _, reason = str(error).partition(": ")
    sentence = reason or str(error)
    return UNREADABLE, f"{sentence[:1].upper()}{sentence[1:]}."


def too_large(max_mb: int) -> tuple[str, str]:
    """Headline and sentence for an upload beyond the limit."""
    return "This file is too large", f"Files up to {max_mb} MB are accepted. Please choose a smaller copy."
