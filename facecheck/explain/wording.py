"""The words of the case report: what a layperson reads for each verdict, reason and limit."""

from facecheck.result import Verdict

HEADLINES = {
    Verdict.REAL: "No sign of generation found",
    Verdict.FAKE: "Looks generated",
    Verdict.UNCERTAIN: "Cannot be judged either way",
    Verdict.NO_FACE: "No face found",
    None: "The file could not be read",
}
EXPLAINED = {
    Verdict.REAL: "The model found nothing that it knows from generated faces. That does not make the picture "
    "authentic: it may be retouched, staged, swapped, or made by a generator that the model has not seen.",
    Verdict.FAKE: "The model found what it knows from generated faces. This is a score, not a proof: photographs are "
    "called generated too. Do not accuse anybody on it alone.",
    Verdict.UNCERTAIN: "There is not enough to go by. Below stands why. An unclear answer is no accusation and no "
    "acquittal.",
    Verdict.NO_FACE: "The detector found no human face, so there is nothing that this model could judge. It says "
    "nothing about pictures without faces.",
    None: "It is damaged, or no picture of a kind that facecheck opens. No pixel of it was judged.",
}
REASONS = {
    "face_too_small": "The face has too few pixels.",
    "blurred": "The face is too blurred.",
    "heavy_compression": "The picture is compressed so strongly that blocks show.",
    "partial": "Too much of the face lies outside of the picture.",
    "borderline": "The score lies too near to the threshold.",
    "unstable": "The answer changes when the picture is saved or resized again, as websites and messengers do.",
}
HEAT_MAPS = {
    "grad-cam": "Grad-CAM: bright places speak most for the answer, by the network's own features.",
    "occlusion": "Occlusion: bright places change the score most when they are blurred away.",
}
ALL_SCORES = "That counts faces of all scores together, photographs and generated ones alike."
HEAT_MAP_CAUTION = (
    "Heat maps show where the score comes from. They do not show what is wrong with a face, and they prove nothing: "
    "a map is as bright for a wrong answer as for a right one."
)
STRENGTHS = {
    "signed": "signed: intact, and belongs to this very file",
    "declared": "declared: the file says so, anybody can write that",
    "hint": "hint: a trace or an oddity",
}
LIMITS = (
    "The answer is about faces that were generated as a whole. Face swaps, retouching and beauty filters were not in "
    "the training data.",
    "Generators and cameras that the model has never seen are judged worse than the numbers say.",
    "The more faces a picture has, the more likely is one false alarm among them.",
    "The numbers were measured on sources of which many are portraits; they hold for pictures like those.",
    "Somebody who wants to fool the model can.",
    "Nothing left this machine to make this report.",
)
