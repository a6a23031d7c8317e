"""A clip's answer as HTML: verdict, time line of the scores, one card for each person followed."""

from collections.abc import Sequence
from html import escape

from PIL import Image

from demo.page import results
from facecheck.explain import wording
from facecheck.model.config import Decision
from facecheck.video.judging import JudgedClip
from facecheck.video.tracks import Observation, Track

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 220, 56, 28


def answer(judged: JudgedClip, decision: Decision) -> str:
    """Everything that a clip's answer consists of."""
    prediction, clip = judged.prediction, judged.clip
    notes = [wording.looked_at(clip.duration_s, clip.length_s, judged.samples, clip.is_complete)]
    people = [
        results.card(Image.fromarray(thumbnail), number, face, decision, [_seen(track)])
        for number, (face, track, thumbnail) in enumerate(
            zip(prediction.faces, judged.tracks, judged.thumbnails, strict=True), 1
        )
    ]
    chart = _chart(judged, decision) if people else ""
    seconds = f"{judged.samples} frames of {_seconds(judged):.1f} s of film"
    return (
        results.banner(prediction, notes)
        + chart
        + results.folded(people, "people in fewer frames")
        + results.footnote(prediction, seconds)
    )


def _seconds(judged: JudgedClip) -> float:
    """What was looked at, as an axis that has a length."""
    return max(judged.clip.duration_s, 0.1)


def _seen(track: Track) -> str:
    first, last, frames = track.observations[0].at_s, track.observations[-1].at_s, track.seen
    when = f"1 frame, at {first:.1f} s" if frames == 1 else f"{frames} frames, {first:.1f} to {last:.1f} s"
    return f"In {when}: {_span(track.judged)}."


def _span(judged: Sequence[Observation]) -> str:
    if not judged:
        return "not clearly enough"
    scores = [observation.p_fake for observation in judged]
    least, most = wording.points(min(scores)), wording.points(max(scores))
    return least if least == most else f"{least} to {most}"


def _chart(judged: JudgedClip, decision: Decision) -> str:
    """Score over time; every line carries its face's number, and the cards tell the same in words."""
    inner, seconds = WIDTH - LEFT - 24, _seconds(judged)

    def x(at: float) -> float:
        return LEFT + inner * at / seconds

    def y(p_fake: float) -> float:
        return 12 + (HEIGHT - BOTTOM - 12) * (1 - p_fake)

    band = (
        f'<rect class="rc-doubt" x="{LEFT}" width="{inner}" y="{y(decision.uncertain_to):.1f}" '
        f'height="{max(y(decision.uncertain_from) - y(decision.uncertain_to), 2):.1f}"/>'
    )
    scale = "".join(
        f'<text x="{LEFT - 8}" y="{y(value):.0f}" text-anchor="end">{value:.0%}</text>' for value in (0, 0.5, 1)
    )
    times = "".join(
        f'<text x="{x(at):.0f}" y="{HEIGHT - 6}" text-anchor="middle">{at:.1f} s</text>'
        for at in (0, seconds / 2, seconds)
    )
    lines = ""
    for number, (face, track) in enumerate(zip(judged.prediction.faces, judged.tracks, strict=True), 1):
        points = [(x(observation.at_s), y(observation.p_fake)) for observation in track.observations]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        end_x, end_y = points[-1]
        lines += (
            f'<g class="rc-line rc-{face.verdict}"><polyline points="{path}"/>'
            f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="9"/>'
            f'<text x="{end_x:.1f}" y="{end_y:.1f}">{number}</text></g>'
        )
    name = escape(f"Time line of the score, photograph to generated, {len(judged.tracks)} faces, {seconds:.1f} s")
    return (
        f'<figure class="rc-timeline"><figcaption>Score over time, photograph to generated</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{band}{scale}{times}{lines}</svg></figure>'
    )
