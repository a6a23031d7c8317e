"""Answers as HTML: the verdict, the picture with its boxes, one card a face. Whatever came from outside is escaped."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

from demo import texts
from demo.server.service import Judged
from facecheck import crop
from facecheck.decoding import Pixels
from facecheck.explain import wording
from facecheck.explain.explanation import MOST_FACES
from facecheck.model.config import Decision
from facecheck.provenance.findings import ABSENCE, CAUTION, Finding
from facecheck.result import Face, Prediction, Verdict

PREVIEW_SIDE, CARD_SIDE, CARD_MARGIN = 1280, 192, 1.3
CARDS_SHOWN, CROWD = 12, 8
LONGEST_DETAIL = 500
ICONS = {Verdict.REAL: "○", Verdict.FAKE: "▲", Verdict.UNCERTAIN: "◇", Verdict.NO_FACE: "□"}


def answer(judged: Judged, decision: Decision) -> str:
    """Everything that one picture's answer consists of."""
    prediction = judged.prediction
    notes = [texts.TURNED] if judged.turned else []
    if len(prediction.faces) >= CROWD:
        notes.append(wording.CROWD)
    parts = (
        banner(prediction, notes),
        picture(judged.pixels, prediction.faces),
        cards(judged.pixels, prediction.faces, decision),
        file_panel(prediction),
        footnote(prediction),
    )
    return "".join(parts)


def banner(prediction: Prediction, notes: Iterable[str] = ()) -> str:
    """The verdict in plain words, with what it does not say."""
    verdict = prediction.verdict or Verdict.NO_FACE
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in (*wording.explained(prediction), *notes))
    return (
        f'<section class="rc-verdict rc-{verdict}" data-verdict="{verdict}"><h2><span class="rc-icon" '
        f'aria-hidden="true">{ICONS[verdict]}</span>{escape(wording.headline(prediction))}</h2>{sentences}</section>'
    )


def message(headline: str, sentence: str, kind: str = "notice") -> str:
    """A state that is no verdict: nothing chosen, busy, unreadable."""
    return (
        f'<section class="rc-verdict rc-{kind}" data-state="{kind}"><h2>{escape(headline)}</h2>'
        f"<p>{escape(sentence)}</p></section>"
    )


def picture(pixels: Pixels, faces: Sequence[Face]) -> str:
    """The picture with a numbered box around every face; shape and pattern say the same as the colour."""
    height, width = pixels.shape[:2]
    boxes = "".join(_box(number, face, max(width, height) / 300) for number, face in enumerate(faces, 1))
    source = data_url(reduced(pixels, PREVIEW_SIDE), quality=88)
    return (
        f'<figure class="rc-picture"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(described(faces))}"><image href="{source}" width="{width}" height="{height}"/>'
        f"{boxes}</svg></figure>"
    )


def described(faces: Sequence[Face]) -> str:
    """The alternative text of a judged picture."""
    if not faces:
        return "Your picture. No face was found in it."
    listed = "; ".join(
        f"face {number}: {face.verdict.meaning}, {wording.points(face.p_fake)}"
        for number, face in enumerate(faces[:CARDS_SHOWN], 1)
    )
    more = f"; and {len(faces) - CARDS_SHOWN} more" if len(faces) > CARDS_SHOWN else ""
    return f"Your picture with {len(faces)} marked face{'s' if len(faces) > 1 else ''}. {listed}{more}."


def _box(number: int, face: Face, unit: float) -> str:
    x0, y0, x1, y1 = face.box
    size = min(max(unit * 8, (x1 - x0) / 6), (x1 - x0) / 2, unit * 14)
    return (
        f'<g class="rc-box rc-{face.verdict}" stroke-width="{unit:.2f}"><rect x="{x0:.1f}" y="{y0:.1f}" '
        f'width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" rx="{unit * 2:.1f}"/>'
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="{size / 2:.1f}"/>'
        f'<text x="{x0:.1f}" y="{y0:.1f}" font-size="{size * 0.62:.1f}">{number}</text></g>'
    )


def cards(pixels: Pixels, faces: Sequence[Face], decision: Decision) -> str:
    """One card a face; those of a crowd beyond the largest are folded away."""
    drawn = [
        card(
            _cut(pixels, face),
            number,
            face,
            decision,
            _evidence(face),
            heat_button(number) if number <= MOST_FACES else "",
        )
        for number, face in enumerate(faces, 1)
    ]
    return folded(drawn)


def folded(drawn: Sequence[str], rest_are: str = "smaller faces") -> str:
    """A list of cards, of which those beyond the first twelve are folded away."""
    if not drawn:
        return ""
    rest = drawn[CARDS_SHOWN:]
    more = (
        f'<details class="rc-more"><summary>Show {len(rest)} {rest_are}</summary>'
        f'<ol class="rc-cards" start="{CARDS_SHOWN + 1}">{"".join(rest)}</ol></details>'
        if rest
        else ""
    )
    return f'<ol class="rc-cards" aria-label="Faces">{"".join(drawn[:CARDS_SHOWN])}</ol>{more}'


def heat_button(number: int) -> str:
    """What asks for the heat map of a face, by its number; nothing beyond the `MOST_FACES` largest."""
    if number > MOST_FACES:
        return ""
    return (
        f'<button type="button" class="rc-heat" data-face="{number}" aria-pressed="false" '
        f'aria-label="Face {number}: {texts.HEAT}">{texts.HEAT}</button>'
    )


def _evidence(face: Face) -> list[str]:
    """What is known beside the score: how it survives delivery, and how often the model is wrong on such faces."""
    sentences = [wording.delivered(face.stability)] if face.stability else []
    return [*sentences, *wording.chance_of_error(face.expected_error)] if face.expected_error else sentences


def card(
    cut: Image.Image, number: int, face: Face, decision: Decision, notes: Sequence[str] = (), heat: str = ""
) -> str:
    """The face cut out, verdict, score, reasons, notes and perhaps the button for the heat map, of one face."""
    sentences = [*wording.reasons(face), *notes]
    reasons = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return (
        f'<li class="rc-card rc-{face.verdict}"><img src="{data_url(cut)}" '
        f'alt="Face {number}, cut out" width="96" height="96"/><div><h3>Face {number}: '
        f"{wording.HEADLINES[face.verdict]}</h3>{score_bar(face.p_fake, decision, number)}"
        f"<ul>{reasons}</ul>{heat}</div></li>"
    )


def score_bar(p_fake: float, decision: Decision, number: int) -> str:
    """A bar with the model's doubtful band marked on it."""
    low, high = decision.uncertain_from, decision.uncertain_to
    name = f"Face {number}: score, from 0 (photograph) to 100 (generated)"
    return (
        f'<p class="rc-score"><span>Generation score</span> <b>{wording.points(p_fake)}</b></p>'
        f'<div class="rc-bar" role="meter" aria-label="{name}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{p_fake * 100:.0f}" aria-valuetext="{wording.points(p_fake)}">'
        f'<span class="rc-fill" style="width:{max(p_fake, 0.01):.1%}"></span>'
        f'<span class="rc-band" style="left:{low:.1%};width:{max(high - low, 0.005):.1%}"></span></div>'
    )


def file_panel(prediction: Prediction) -> str:
    """The panel as HTML; empty where there was no file. Every word of a file is a stranger's, and escaped."""
    provenance = prediction.provenance
    if provenance is None:
        return ""
    findings = "".join(map(_finding, provenance.findings)) or f"<li>{escape(ABSENCE)}</li>"
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in provenance.problems)
    warnings = "".join(
        f'<p class="rc-contradiction">{escape(sentence)}</p>'
        for sentence in (prediction.contradiction, provenance.conflict)
        if sentence
    )
    return (
        f'<section class="rc-file"><h3>{texts.FILE_SAYS}</h3>{warnings}<ul>{findings}{problems}</ul>'
        f'<p class="rc-foot">{escape(CAUTION)}</p></section>'
    )


def _finding(finding: Finding) -> str:
    details = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value[:LONGEST_DETAIL])}</dd>" for name, value in finding.details.items()
    )
    folded = f"<details><summary>{texts.DETAILS}</summary><dl>{details}</dl></details>" if details else ""
    return f'<li><span class="rc-tag">{wording.STRENGTHS[finding.strength]}</span> {escape(finding.says)}{folded}</li>'


def footnote(prediction: Prediction, *more: str) -> str:
    """How long it took, and which model answered."""
    timing, model, size = prediction.timing_ms, prediction.model, prediction.size
    seconds = (timing.decode + timing.detect + timing.classify) / 1000
    facts = [f"Judged in {seconds:.2f} s", *more]
    if size:
        facts.append(f"{size[0]} x {size[1]} pixels")
    if model:
        facts.append(f"{model.name} {model.version}")
    return f'<p class="rc-foot">{escape(" · ".join(facts))}</p>'


def reduced(pixels: Pixels, side: int) -> Image.Image:
    """The picture with its longer side at most `side` pixels, for showing only."""
    shown = Image.fromarray(pixels)
    shown.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return shown


def data_url(shown: Image.Image, quality: int = 85) -> str:
    """A JPEG inside the page: no file, and no address that somebody else could open."""
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cut(pixels: Pixels, face: Face) -> Image.Image:
    return Image.fromarray(crop.face(pixels, np.asarray(face.box), CARD_SIDE, CARD_MARGIN))
