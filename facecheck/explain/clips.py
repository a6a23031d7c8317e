"""What is said of a clip: its sentences, and the case report on it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape

from facecheck.explain import markup, wording
from facecheck.explain.report import Explanation
from facecheck.explain.wording import say
from facecheck.result import Face
from facecheck.video.judging import JudgedClip, Shot
from facecheck.video.tracks import Observation, Track

UNMEASURED = "How often an answer about a clip is wrong was not measured. It was for pictures only."
RULE = (
    "Each person is followed through the clip and gets one score: the middle one of all frames in which the face could "
    "be judged. Small and turned faces count less.",
    "There is no verdict on a person where fewer than three frames could be judged, or where two frames or more, with "
    "15 % of the weight, say the opposite of the others.",
    "Nobody is cleared in a clip that was not looked at to its end.",
)
"""As `Track.answer` has it."""


def looked_at(seconds: float, length_s: float, samples: int, is_complete: bool) -> str:
    """What of a clip was looked at; length_s is 0 where it is not known."""
    if is_complete:
        return say("Looked at {samples} frames, spread over all {seconds} seconds.", samples=samples,
                   seconds=f"{seconds:.1f}")  # fmt: skip
    if length_s <= seconds:
        return say("The end of the clip was not looked at.")
    return say("Looked at the first {seconds} of {length} seconds. What comes after them was not looked at.",
               seconds=f"{seconds:.1f}", length=f"{length_s:.1f}")  # fmt: skip


def seen(track: Track) -> list[str]:
    """When a person was seen, the range of the scores, and the most doubtful moment."""
    first, last, frames = track.observations[0].at_s, track.observations[-1].at_s, track.seen
    at, last_at = f"{first:.1f}", f"{last:.1f}"
    several = say("In {frames} frames, {first} to {last} s", frames=frames, first=at, last=last_at)
    when = say("In 1 frame, at {first} s", first=at) if frames == 1 else several
    judged = track.judged
    if len(judged) < 2:
        return [f"{when}: {_span(judged)}."]
    worst = max(judged, key=lambda one: one.p_fake)
    score = wording.points(worst.p_fake)
    return [f"{when}: {_span(judged)}.", say("Highest at {at} s: {score}.", at=f"{worst.at_s:.1f}", score=score)]


def _span(judged: Sequence[Observation]) -> str:
    if not judged:
        return say("not clearly enough")
    scores = [observation.p_fake for observation in judged]
    least, most = wording.points(min(scores)), wording.points(max(scores))
    return least if least == most else say("{least} to {most}", least=least, most=most)


def clip_report(judged: JudgedClip, about: Explanation) -> str:
    """The case report on a clip as one self-contained page: people, strips of frames, times, and the rule.

    Args:
        about: the model, the threshold, and the file's hash and bytes; everything else is taken from the clip.
    """
    clip = judged.clip
    looked = looked_at(clip.duration_s, clip.length_s, judged.samples, clip.is_complete)
    said = markup.paragraphs([looked, say(UNMEASURED)])
    rule = f"<h2>{say('How a clip is judged')}</h2><section class=panel>{markup.bullets(map(say, RULE))}</section>"
    strips = judged.strips or ((),) * len(judged.tracks)
    people = "".join(
        _person(number, *each, about)
        for number, each in enumerate(zip(judged.prediction.faces, judged.tracks, strips, strict=True), 1)
    )
    heading = f"<h2>{say('The people')}</h2>" if people else ""
    more = f"<section class=panel>{said}</section>{heading}{people}{rule}"
    return replace(about, prediction=judged.prediction, picture=None, faces=()).to_html(more)


def _person(number: int, face: Face, track: Track, shots: Sequence[Shot], about: Explanation) -> str:
    scores = [one.p_fake for one in track.judged] or [face.p_fake]
    why = markup.paragraphs([*wording.reasons(face, about.model.limits if about.model else None), *seen(track)])
    scale = markup.scale(face.p_fake, min(scores), max(scores), about.threshold)
    return (
        f"<section class='panel face {face.verdict}'><h3>{say('Face {number}:', number=number)} "
        f"<strong>{say(wording.HEADLINES[face.verdict])}</strong></h3>{why}"
        f"<p>{say('Score {score}.', score=f'{face.p_fake:.2f}')}</p>{scale}{_strip(shots)}</section>"
    )


def _strip(shots: Iterable[Shot]) -> str:
    """Moments of one person in the order of time, each with its time and score."""
    figures = []
    for shot in shots:
        at, score = f"{shot.at_s:.1f}", f"{shot.p_fake:.2f}"
        told = escape(say("at {at} s: score {score}", at=at, score=score))
        image = f"<img alt='{told}' src='{markup.data_url(shot.pixels)}'>"
        figures.append(f"<figure>{image}<figcaption>{at} s<br>{score}</figcaption></figure>")
    return f"<div class=strip>{''.join(figures)}</div>" if figures else ""
