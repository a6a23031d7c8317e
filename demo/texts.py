"""Every sentence that a visitor reads.

"real" always reads "no sign of generation found": nothing here may promise that a picture is authentic.
"""

from facecheck.errors import ImageError
from facecheck.result import Prediction, Verdict

NAME = "Reality Check"
TAGLINE = "Is this face a photograph of a person, or was it generated?"
PROMISE = "Only this server sees your picture. It is kept in memory while you look at it, and forgotten when you leave."

SHORT = {
    Verdict.REAL: "No sign of generation found",
    Verdict.FAKE: "Looks generated",
    Verdict.UNCERTAIN: "Cannot be judged",
}
EXPLAINED = {
    Verdict.REAL: "The model found none of the traces that it knows from generated faces. This does not prove that "
    "the picture is authentic: it may be retouched, staged, or made by a generator that the model has never seen.",
    Verdict.FAKE: "The model found traces that it knows from generated faces. This is a score, not a proof: it is "
    "wrong about some photographs. Do not accuse anybody on it alone.",
    Verdict.UNCERTAIN: "There is too little to go by, so there is no verdict. A larger, sharper, or less compressed "
    "copy of the same picture may help.",
    Verdict.NO_FACE: "This page judges faces only, and says nothing about the rest of a picture. If there is a face, "
    "try a picture in which it is larger, turned to the camera, and not covered.",
}
REASONS = {
    "face_too_small": "The face is too small to be judged.",
    "blurred": "The face is too blurred to be judged.",
    "heavy_compression": "The file is compressed so strongly that the traces are gone.",
    "partial": "Too much of the face lies outside the picture.",
    "borderline": "The score lies too near to the threshold.",
    "unstable": "The answer changes when the picture is saved or resized again.",
    "brief": "Too few frames of the clip show this face.",
}
TURNED = "The picture was lying on its side or upside down. It was turned before it was judged."
CROWD = "With many faces, a false alarm on one of them becomes likely. Look at each face by itself."

HEAT = "Where the model looked"
HEAT_MEANS = "Bright places spoke most for the answer. They show what the model used, not what was generated."
NO_HEAT = "There is no heat map for this face."
FILE_SAYS = "What the file says"
DETAILS = "Details"
STRENGTHS = {"signed": "signed", "declared": "declared", "hint": "a hint"}
CLIP_CUT = "Only the first minute of the clip was looked at."

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
DOES_MEAN = (
    "How much each face resembles the generated faces that the model learned from, as a calibrated probability.",
    "'Looks generated' is drawn where the model was right most often on faces that it had never seen.",
    "'Cannot be judged' is an honest answer: the face is too small, blurred, or compressed, or the score is a tie.",
)
DOES_NOT_MEAN = (
    "'No sign of generation found' does not say that a picture is authentic, unedited, or shows what its caption says.",
    "It is no proof against anybody. Photographs are called generated now and then, some kinds more often than others.",
    "Face swaps, retouching, beauty filters, and generators newer than the model may leave no trace that it knows.",
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


def headline(prediction: Prediction) -> str:
    """The verdict in one line."""
    verdicts = [face.verdict for face in prediction.faces]
    count, fakes, unclear = len(verdicts), verdicts.count(Verdict.FAKE), verdicts.count(Verdict.UNCERTAIN)
    match prediction.verdict:
        case Verdict.FAKE if count > 1:
            return f"{fakes} of {count} faces {'looks' if fakes == 1 else 'look'} generated"
        case Verdict.FAKE:
            return "This face looks generated"
        case Verdict.REAL:
            return "No sign of generation found"
        case Verdict.UNCERTAIN if unclear < count:
            return f"{unclear} of {count} faces cannot be judged"
        case Verdict.UNCERTAIN:
            return "These faces cannot be judged" if count > 1 else "This face cannot be judged"
    return "No face found"


def percent(probability: float) -> str:
    """A probability for people: never 0 % or 100 %, because the model is never sure."""
    if probability < 0.01:
        return "under 1 %"
    if probability > 0.99:
        return "over 99 %"
    return f"{probability:.0%}".replace("%", " %")


def delivered(low: float, high: float) -> str:
    """How the probability moves when the picture travels."""
    least, most = percent(low), percent(high)
    span = f"Stays {least}" if least == most else f"Between {least} and {most}"
    return f"{span} when the picture is saved and resized again."


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
