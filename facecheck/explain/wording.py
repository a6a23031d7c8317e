"""The wording of verdicts: whatever a person reads in the terminal, in the case report or on the page is said here.

"real" always reads "no sign of generation found": nothing here may promise that a picture is authentic.
"""

from facecheck.error_rates import ChanceOfError
from facecheck.provenance.findings import Strength
from facecheck.result import Face, Prediction, Reason, Stability, Verdict

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
    Verdict.UNCERTAIN: "There is too little to go by, so there is no verdict: no accusation and no acquittal. A "
    "larger, sharper, or less compressed copy of the same picture may help.",
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
}
CROWD = "With many faces, a false alarm on one of them becomes likely. Look at each face by itself."
NOT_A_PROOF = (
    "A verdict is a measurement, not a proof. \u201creal\u201d means that no sign of generation was found; it never "
    "means that a picture is authentic. Look at a file yourself before you accuse anybody."
)

HEAT_MAPS = {
    "grad-cam": "Grad-CAM: bright places speak most for the answer, by the network's own features.",
    "occlusion": "Occlusion: bright places change the score most when they are blurred away.",
}
HEAT_MAP_CAUTION = (
    "Heat maps show where the score comes from. They do not show what is wrong with a face, and they prove nothing: "
    "a map is as bright for a wrong answer as for a right one."
)
STRENGTHS: dict[Strength, str] = {
    Strength.SIGNED: "signed: intact, and belongs to this very file",
    Strength.DECLARED: "declared: the file says so, anybody can write that",
    Strength.HINT: "hint: a trace or an oddity",
}
MEANS = (
    "How much each face resembles the generated faces that the model learned from, as a score.",
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
    "Somebody who wants to fool the model can.",
)


def headline(prediction: Prediction) -> str:
    """The verdict on a picture in one line; of several faces it says how many gave it."""
    verdicts = [face.verdict for face in prediction.faces]
    count, fakes, unclear = len(verdicts), verdicts.count(Verdict.FAKE), verdicts.count(Verdict.UNCERTAIN)
    match prediction.verdict:
        case Verdict.FAKE if count > 1:
            return f"{fakes} of {count} faces {'looks' if fakes == 1 else 'look'} generated"
        case Verdict.FAKE:
            return "This face looks generated"
        case Verdict.UNCERTAIN if unclear < count:
            return f"{unclear} of {count} faces cannot be judged"
        case Verdict.UNCERTAIN:
            return "These faces cannot be judged" if count > 1 else "This face cannot be judged"
        case other:
            return HEADLINES[other]


def explained(prediction: Prediction) -> tuple[str, ...]:
    """The sentences under the headline: what the verdict does and does not mean, and why it is uncertain."""
    return (EXPLAINED[prediction.verdict], *reasons(prediction))


def reasons(judged: Prediction | Face) -> tuple[str, ...]:
    """Why a face or a picture is uncertain, a sentence each."""
    return tuple(REASONS[reason] for reason in judged.reasons)


def summary(prediction: Prediction) -> str:
    """One line for a terminal: the word, what it means, the score, the reasons, and what the file says of itself."""
    if prediction.verdict is None:
        return f"{UNREADABLE}: {problem(prediction)}"
    words = f"{prediction.verdict} ({prediction.verdict.meaning})"
    if prediction.p_fake is not None:
        faces = len(prediction.faces)
        words += f", p_fake {prediction.p_fake:.2f}, {faces} face{'s' if faces > 1 else ''}"
    if chance := expected_error(prediction):
        words += f", {chance.briefly}"
    if prediction.reasons:
        words += f", because {', '.join(prediction.reasons)}"
    return words + "".join(f"; {said}" for said in file_says(prediction))


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


def percent(probability: float) -> str:
    """A probability for people: never 0 % or 100 %, because the model is never sure."""
    if probability < 0.01:
        return "under 1 %"
    if probability > 0.99:
        return "over 99 %"
    return f"{probability:.0%}".replace("%", " %")


def delivered(stability: Stability) -> str:
    """How the score moves when the picture travels, for people."""
    least, most = percent(stability.low), percent(stability.high)
    span = f"Stays {least}" if least == most else f"Between {least} and {most}"
    return f"{span} when the picture is saved and resized again."


def unseen(seconds: float) -> str:
    """What of a clip was not looked at; 0 where its length is not known."""
    end = f"the last {seconds:.1f} s" if seconds else "the end"
    return f"{end[:1].upper()}{end[1:]} of the clip {'were' if seconds else 'was'} not looked at."


def score(p_fake: float) -> str:
    """A score with the ends of its scale."""
    return f"{p_fake:.2f} on a scale from 0 (like the photographs it learned from) to 1 (like the generated faces)"
