"""The wording of verdicts: whatever a person reads in the terminal, in the case report or on the page is said here.

"real" always reads "no sign of generation found": nothing here may promise that a picture is authentic. The sentences
are English, and the keys of the tables of other languages: `say` looks them up in the one that is `speaking`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from facecheck.error_rates import ChanceOfError, Stability
from facecheck.model.config import Limits
from facecheck.provenance import Sentence, Strength
from facecheck.result import Face, Prediction, Reason, Verdict

_TABLE: ContextVar[Mapping[str, str] | None] = ContextVar("table", default=None)


@contextmanager
def speaking(table: Mapping[str, str] | None) -> Iterator[None]:
    """In this block, also in threads that it starts, `say` looks sentences up in the table; None: English."""
    token = _TABLE.set(table)
    try:
        yield
    finally:
        _TABLE.reset(token)


def say(sentence: str, **values: object) -> str:
    """A sentence in the language that is spoken, its {places} filled; in English where the table lacks it."""
    table = _TABLE.get() or {}
    if isinstance(sentence, Sentence):  # Its places hold sentences, and strangers' words, which stay as they are.
        own = table.get(sentence.template)
        return (
            str(sentence) if own is None else own.format(**{key: told(text) for key, text in sentence.values.items()})
        )
    said = table.get(sentence, sentence)
    return said.format(**values) if values else said


def told(text: str) -> str:
    """Our own words in the language that is spoken, a stranger's as they are."""
    return say(text) if isinstance(text, Sentence) else text


UNREADABLE = "could not be read"
HEADLINES: dict[Verdict | None, str] = {
    **{verdict: verdict.meaning[0].upper() + verdict.meaning[1:] for verdict in Verdict},
    None: f"The file {UNREADABLE}",
}
"""One face's verdict, or that of a picture with at most one, in a line; None: it could not be read."""
EXPLAINED: dict[Verdict | None, str] = {
    Verdict.REAL: "The model found none of the traces that it knows from generated faces. This does not prove that the "
    "picture is authentic: it may be retouched, staged, swapped, or made by a generator that the model has never seen.",
    Verdict.FAKE: "The model found traces that it knows from generated faces. This is a score, not a proof: it is "
    "wrong about some photographs. Do not accuse anybody on it alone.",
    Verdict.UNCERTAIN: "There is too little to go by, so there is no verdict: no accusation and no acquittal.",
    Verdict.NO_FACE: "No human face was found, and nothing else is judged: this says nothing about the rest of the "
    "picture. If there is a face, try a picture in which it is larger, turned to the camera, and not covered.",
    None: "It is damaged, or no picture of a kind that facecheck opens. No pixel of it was judged.",
}
REASONS: dict[Reason, str] = {
    Reason.FACE_TOO_SMALL: "The face is too small to be judged.",
    Reason.BLURRED: "The face is too blurred to be judged.",
    Reason.HEAVY_COMPRESSION: "The file is compressed so strongly that the traces are gone.",
    Reason.PARTIAL: "Too much of the face lies outside the picture.",
    Reason.BORDERLINE: "The score lies too near to the threshold.",
    Reason.UNSTABLE: "The answer changes when the picture is saved or resized again, as websites and messengers do.",
    Reason.BRIEF: "Too few frames of the clip show this face well enough.",
    Reason.INCONSISTENT: "Some frames of the clip say the opposite of the others.",
    Reason.INCOMPLETE: "Part of the clip was not looked at, so nobody in it is cleared.",
    Reason.DRAWN: "This looks like a drawing, and drawings are not what facecheck is made for.",
    Reason.PICTURE_TOO_SMALL: "The picture is smaller than the least face that is looked for.",
    Reason.NEARLY_ONE_COLOUR: "The picture is nearly of one colour.",
    Reason.TOO_DARK: "The picture is too dark for a face to be seen.",
    Reason.FRAMES_NOT_SEEN: "The file has several frames, and only a few were looked at.",
}
MEASURED: dict[Reason, str] = {
    Reason.FACE_TOO_SMALL: "It is {face_px} pixels large, {min_face_px} are needed.",
    Reason.BLURRED: "Its sharpness is {sharpness}, {min_sharpness} is needed.",
    Reason.HEAVY_COMPRESSION: "Its blocks measure {blockiness}, up to {max_blockiness} can be judged.",
    Reason.PARTIAL: "{outside} of it are missing, up to {max_outside} can be judged.",
}
ADVICE: dict[Reason, str] = {
    Reason.FACE_TOO_SMALL: "Find the largest copy of this picture, not a preview or a screenshot.",
    Reason.BLURRED: "Find a sharper copy, or another picture of the same scene.",
    Reason.HEAVY_COMPRESSION: "Ask for the original file: most messengers compress a picture again.",
    Reason.PARTIAL: "Find a copy that was not cropped.",
    Reason.BORDERLINE: "Try another picture from the same source.",
    Reason.UNSTABLE: "Find a copy that was passed on less often, at best the original file.",
    Reason.BRIEF: "Choose a part of the clip in which the face is seen longer.",
    Reason.INCONSISTENT: "Look at the moments with the highest scores yourself.",
    Reason.INCOMPLETE: "Cut the clip to the part that matters, and check that.",
    Reason.DRAWN: "Check the photograph, if there is one.",
    Reason.PICTURE_TOO_SMALL: "Find the largest copy of this picture, not a preview or an icon.",
    Reason.NEARLY_ONE_COLOUR: "See whether it opens as a picture elsewhere.",
    Reason.TOO_DARK: "Find a brighter copy.",
    Reason.FRAMES_NOT_SEEN: "Save the frame that matters as a picture, and check that.",
}
UNCLEAR_ONE = "{unclear} of {count} faces cannot be judged: nothing is said about it."
UNCLEAR = "{unclear} of {count} faces cannot be judged: nothing is said about them."
CROWD = "With many faces, a false alarm on one of them becomes likely. Look at each face by itself."
NOT_A_PROOF = (
    "A verdict is a measurement, not a proof. \u201creal\u201d means that no sign of generation was found; it never "
    "means that a picture is authentic. Look at a file yourself before you accuse anybody."
)

BETWEEN = "The score lies between {least} and {most} when the picture is saved and resized again."

HEAT_MAPS = {
    "grad-cam": "Grad-CAM: bright places speak most for the answer, by the network's own features.",
    "occlusion": "Occlusion: bright places change the score most when they are blurred away.",
}
HEAT_MAP_CAUTION = (
    "Heat maps show where the score comes from. They do not show what is wrong with a face, and they prove nothing: "
    "a map is as bright for a wrong answer as for a right one."
)
HEAT_SCALE = ("counted little", "counted most")
SCOPE = (
    "facecheck is made for photographs of people and for pictures that look like one. It also finds faces in statues, "
    "dolls, drawings, masks and on screens: what it says about those means nothing."
)
STRENGTHS: dict[Strength, str] = {
    Strength.SIGNED: "signed: intact, and belongs to this very file",
    Strength.DECLARED: "declared: the file says so, anybody can write that",
    Strength.HINT: "hint: a trace or an oddity",
}
MEANS = (
    "Each face is compared with photographs and with generated faces. The score says which of them it is more like.",
    "A score is no chance. How often such an answer is wrong was measured apart, on sources that the model had never "
    "seen, and stands beside it.",
    f"“{HEADLINES[Verdict.FAKE]}” is drawn where the model was right most often on faces that it had never seen.",
    f"“{HEADLINES[Verdict.UNCERTAIN]}” is an honest answer: the face is too small, blurred, or compressed, or the "
    "score is a tie.",
)
LIMITS = (
    f"“{HEADLINES[Verdict.REAL]}” does not say that a picture is authentic, unedited, or shows what its caption says.",
    "It is no proof against anybody. Photographs are called generated now and then, some kinds more often than others.",
    "The answer is about faces that were generated as a whole. Face swaps, retouching and beauty filters were not in "
    "the training data.",
    "The chances were measured on cameras and generators that the model had not seen; the next ones may do worse.",
    "The more faces a picture has, the more likely is one false alarm among them.",
    "The numbers were measured on sources of which many are portraits; they hold for pictures like those.",
    "Marks in the pixels, such as SynthID, can only be read with their makers' detectors: nothing is said of them.",
    "Somebody who wants to fool the model can.",
    SCOPE,
)


def headline(prediction: Prediction) -> str:
    """The verdict on a picture in one line; of several faces it says how many gave it."""
    verdicts = [face.verdict for face in prediction.faces]
    count, fakes, unclear = len(verdicts), verdicts.count(Verdict.FAKE), verdicts.count(Verdict.UNCERTAIN)
    match prediction.verdict:
        case Verdict.FAKE if count > 1:
            looks = (
                "{fakes} of {count} faces looks generated" if fakes == 1 else "{fakes} of {count} faces look generated"
            )
            return say(looks, fakes=fakes, count=count)
        case Verdict.FAKE:
            return say("This face looks generated")
        case Verdict.UNCERTAIN if unclear < count:
            return say("{unclear} of {count} faces cannot be judged", unclear=unclear, count=count)
        case Verdict.UNCERTAIN:
            return say("These faces cannot be judged" if count > 1 else "This face cannot be judged")
        case Verdict.REAL if unclear:
            return say("No sign of generation in {clear} of {count} faces", clear=count - unclear, count=count)
        case other:
            return say(HEADLINES[other])


def explained(prediction: Prediction, limits: Limits | None = None) -> tuple[str, ...]:
    """The sentences under the headline: what the verdict means and does not mean, its reasons, and how it was read.

    Args:
        limits: of the model; reasons come with what was measured and what is needed.
    """
    verdicts = [face.verdict for face in prediction.faces]
    unclear = verdicts.count(Verdict.UNCERTAIN) if prediction.verdict in (Verdict.REAL, Verdict.FAKE) else 0
    left = [say(UNCLEAR_ONE if unclear == 1 else UNCLEAR, unclear=unclear, count=len(verdicts))] if unclear else []
    read = [say(problem) for problem in prediction.problems]
    return (say(EXPLAINED[prediction.verdict]), *left, *reasons(prediction, limits), *read)


def reasons(judged: Prediction | Face, limits: Limits | None = None) -> tuple[str, ...]:
    """Why a face or a picture is uncertain and what may help, a sentence or a few each.

    Of a picture with several faces the first face with the reason is named.
    """
    if isinstance(judged, Face):
        return tuple(_reason(reason, judged, limits) for reason in judged.reasons)
    said = []
    if not judged.faces:
        return tuple(f"{say(REASONS[reason])} {say(ADVICE[reason])}" for reason in judged.reasons)
    for reason in judged.reasons:
        number, face = next((n, f) for n, f in enumerate(judged.faces, 1) if reason in f.reasons)
        named = say("Face {number}:", number=number) + " " if len(judged.faces) > 1 else ""
        said.append(named + _reason(reason, face, limits))
    return tuple(said)


def _reason(reason: Reason, face: Face, limits: Limits | None) -> str:
    parts = [say(REASONS[reason])]
    if limits and face.quality and reason in MEASURED:
        measured = {
            "face_px": f"{face.quality.face_px:.0f}", "min_face_px": f"{limits.min_face_px:.0f}",
            "sharpness": f"{face.quality.sharpness:.1f}", "min_sharpness": f"{limits.min_sharpness:g}",
            "blockiness": f"{face.quality.blockiness:.1f}", "max_blockiness": f"{limits.max_blockiness:g}",
            "outside": f"{face.quality.outside:.0%}", "max_outside": f"{limits.max_outside:.0%}",
        }  # fmt: skip
        parts.append(say(MEASURED[reason], **measured))
    return " ".join([*parts, say(ADVICE[reason])])


def summary(prediction: Prediction) -> str:
    """One line for a terminal: the word, what it means, the score, the reasons, how it was read, what the file says."""
    if prediction.verdict is None:
        return f"{UNREADABLE}: {problem(prediction)}"
    words = f"{prediction.verdict} ({prediction.verdict.meaning})"
    if prediction.p_fake is not None:
        faces = len(prediction.faces)
        words += f", p_fake {prediction.p_fake:.2f}, {faces} face{'s' if faces > 1 else ''}"
    if chance := expected_error(prediction):
        words += f", {chance.briefly}"
    unclear = [face.verdict for face in prediction.faces].count(Verdict.UNCERTAIN)
    if unclear and prediction.verdict != Verdict.UNCERTAIN:
        words += f", {unclear} of them cannot be judged"
    if prediction.reasons:
        words += f", because {', '.join(prediction.reasons)}"
    return words + "".join(f"; {said}" for said in (*prediction.problems, *file_says(prediction)))


def expected_error(prediction: Prediction) -> ChanceOfError | None:
    """Of the face that speaks for the picture, if it is known."""
    speaks = [f for f in prediction.faces if f.p_fake == prediction.p_fake and f.verdict == prediction.verdict]
    return speaks[0].expected_error if speaks else None


def problem(prediction: Prediction) -> str:
    """What was wrong with an input, without its name."""
    return (prediction.error or "").removeprefix(f"{prediction.source}: ")


def file_says(prediction: Prediction) -> list[str]:
    """What the file claims, in a few words and apart from the verdict; traces of programs are in the JSON only."""
    findings = prediction.provenance.findings if prediction.provenance else ()
    claims = {
        f.claim: f"the file says {f.claim} ({f.source}, {f.strength})"
        for f in reversed(findings)
        if f.claim != "nothing"
    }
    return [words.replace("_", " ") for words in reversed(claims.values())]


def chance_of_error(chance: ChanceOfError) -> tuple[str, str]:
    """How often such an answer is wrong, in one sentence that can be repeated, and what it was measured on."""
    share = say("half") if chance.prevalence == 0.5 else f"{100 * chance.prevalence:g} %"
    sentence = say(
        "Answers like this one are wrong about {times}, if {share} of the faces that people ask about are generated.",
        times=times(chance.chance), share=share,
    )  # fmt: skip
    measured = say(
        "Measured on {faces} faces of {sources} sources that the model had never seen; between {low} and {high}.",
        faces=f"{chance.faces:,}", sources=chance.sources, low=times(chance.low), high=times(chance.high),
    )  # fmt: skip
    return sentence, measured


def times(chance: float) -> str:
    """A chance as people say it: 1 time in 7, 30 times in 100; never none."""
    if chance < 0.001:
        return say("less than 1 time in 1,000")
    return (
        say("1 time in {n}", n=round(1 / chance)) if chance < 0.15 else say("{n} times in 100", n=round(100 * chance))
    )


def points(p_fake: float) -> str:
    """A score for people: without percent, for it is no chance, and never 0 or 100, for the model is never sure."""
    if p_fake < 0.01:
        return say("under 1 of 100")
    if p_fake > 0.99:
        return say("over 99 of 100")
    return say("{n} of 100", n=round(100 * p_fake))


def delivered(stability: Stability) -> str:
    """How the score moves when the picture travels, for people."""
    least, most = points(stability.low), points(stability.high)
    if least == most:
        return say("The score stays {least} when the picture is saved and resized again.", least=least)
    return say(BETWEEN, least=least, most=most)


def score(p_fake: float) -> str:
    """A score with the ends of its scale, as a sentence."""
    scale = "Score: {score} on a scale from 0 (like the photographs it learned from) to 1 (like the generated faces)."
    return say(scale, score=f"{p_fake:.2f}")
