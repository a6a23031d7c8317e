"""A clip's answer as HTML: verdict, time line of the scores, one card for each person followed."""

from collections.abc import Sequence
from html import escape

from demo import texts
from demo.page import results
from demo.tracking import Track
from demo.video import Clip
from facecheck.explain import wording
from facecheck.model.config import Decision

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 220, 56, 28


def answer(clip: Clip, decision: Decision) -> str:
    """Everything that a clip's answer consists of."""
    notes = [texts.CLIP_CUT] if clip.was_cut else []
    faces = clip.prediction.faces
    people = "".join(
        results.card(still, number, face, decision, [_seen(track)])
        for number, (face, track, still) in enumerate(zip(faces, clip.tracks, clip.stills, strict=True), 1)
    )
    listed = f'<ol class="rc-cards" aria-label="Faces">{people}</ol>' if people else ""
    chart = _chart(clip, decision) if faces else ""
    seconds = f"{clip.frames} frames of {clip.seconds:.1f} s of film"
    return results.banner(clip.prediction, notes) + chart + listed + results.footnote(clip.prediction, seconds)


def _seen(track: Track) -> str:
    first, last, frames = track.seconds[0], track.seconds[-1], len(track.faces)
    when = f"1 frame, at {first:.1f} s" if frames == 1 else f"{frames} frames, {first:.1f} to {last:.1f} s"
    return f"In {when}: {_span(track.judged)}."


def _span(scores: Sequence[float]) -> str:
    if not scores:
        return "not clearly enough"
    least, most = wording.percent(min(scores)), wording.percent(max(scores))
    return least if least == most else f"{least} to {most}"


def _chart(clip: Clip, decision: Decision) -> str:
    """Score over time; every line carries its face's number, and the cards tell the same in words."""
    inner = WIDTH - LEFT - 24

    def x(at: float) -> float:
        return LEFT + inner * at / clip.seconds

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
        for at in (0, clip.seconds / 2, clip.seconds)
    )
    lines = ""
    for number, (face, track) in enumerate(zip(clip.prediction.faces, clip.tracks, strict=True), 1):
        points = [(x(at), y(seen.p_fake)) for at, seen in zip(track.seconds, track.faces, strict=True)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        end_x, end_y = points[-1]
        lines += (
            f'<g class="rc-line rc-{face.verdict}"><polyline points="{path}"/>'
            f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="9"/>'
            f'<text x="{end_x:.1f}" y="{end_y:.1f}">{number}</text></g>'
        )
    name = escape(f"Time line of the probability of generation, {len(clip.tracks)} faces, {clip.seconds:.1f} s")
    return (
        f'<figure class="rc-timeline"><figcaption>Probability of generation over time</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{band}{scale}{times}{lines}</svg></figure>'
    )
