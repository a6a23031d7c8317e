"""A clip's answer as HTML: verdict, time line of the scores, a card and a strip of frames for each person."""

from collections.abc import Sequence
from html import escape

from PIL import Image

from demo import texts
from demo.page import panels, results
from facecheck.explain import clips, wording
from facecheck.explain.wording import say
from facecheck.model.config import Decision
from facecheck.video.judging import JudgedClip, Shot

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 220, 56, 28


def answer(judged: JudgedClip, decision: Decision) -> str:
    """Everything that a clip's answer consists of."""
    prediction, clip = judged.prediction, judged.clip
    looked_at = clips.looked_at(clip.duration_s, clip.length_s, judged.samples, clip.is_complete)
    notes = [looked_at, say(clips.UNMEASURED)]
    strips = judged.strips or ((),) * len(judged.tracks)
    people = [
        results.card(
            Image.fromarray(thumbnail), number, face, decision, clips.seen(track), strip(shots), wording.reasons(face)
        )
        for number, (face, track, thumbnail, shots) in enumerate(
            zip(prediction.faces, judged.tracks, judged.thumbnails, strips, strict=True), 1
        )
    ]
    chart = _chart(judged, decision) if people else ""
    film = say("{samples} frames of {seconds} s of film", samples=judged.samples, seconds=f"{_seconds(judged):.1f}")
    cards = results.folded(people, "Show {count} people in fewer frames")
    banner = results.banner(prediction, notes)
    report = panels.report_panel(texts.CLIP_REPORT_HOLDS)
    rest = f"{cards}{panels.next_steps(prediction)}{report}{panels.footnote(prediction, film)}"
    return f'<div class="rc-answer rc-film">{banner}{chart}<div class="rc-rest">{rest}</div></div>'


def strip(shots: Sequence[Shot]) -> str:
    """One person's moments in the order of time, with the highest score marked."""
    worst = max((shot.p_fake for shot in shots), default=0.0)
    frames = "".join(_moment(shot, len(shots) > 2 and shot.p_fake == worst) for shot in shots)
    name = escape(say("Moments of this person"))
    return f'<ol class="rc-strip" tabindex="0" aria-label="{name}">{frames}</ol>' if frames else ""


def _moment(shot: Shot, is_worst: bool) -> str:
    at = f"{shot.at_s:.1f}"
    told = escape(say("at {at} s: score {score}", at=at, score=wording.points(shot.p_fake)))
    image = f'<img src="{results.data_url(Image.fromarray(shot.pixels))}" width="72" height="72" alt="{told}"/>'
    mark = ' data-worst=""' if is_worst else ""
    return f"<li{mark}>{image}<small>{at} s</small></li>"


def _seconds(judged: JudgedClip) -> float:
    """What was looked at, as an axis that has a length."""
    return max(judged.clip.duration_s, 0.1)


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
        f'<text x="{LEFT - 8}" y="{y(value):.0f}" text-anchor="end">{100 * value:.0f}</text>' for value in (0, 0.5, 1)
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
    title = say("Score over time, from 0 (photograph) to 100 (generated)")
    name = escape(f"{say('Time line')}: {title}, {say('{count} people', count=len(judged.tracks))}, {seconds:.1f} s")
    return (
        f'<figure class="rc-timeline"><figcaption>{title}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{band}{scale}{times}{lines}</svg></figure>'
    )
