"""Answers as HTML: the verdict, the picture with its boxes, one card a face; of several pictures, a table.

Whatever came from outside is escaped.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from demo import texts
from demo.page import panels
from demo.server.service import Judged
from facecheck import crop
from facecheck.decoding import Pixels
from facecheck.explain import wording
from facecheck.explain.explanation import MOST_FACES
from facecheck.explain.wording import say
from facecheck.model.config import Decision, Limits
from facecheck.result import Face, Prediction, Verdict

PREVIEW_SIDE, CARD_SIDE, CARD_MARGIN = 1280, 192, 1.3
CARDS_SHOWN, CROWD = 12, 8
ICONS = {Verdict.REAL: "○", Verdict.FAKE: "▲", Verdict.UNCERTAIN: "◇", Verdict.NO_FACE: "□"}
BADGES = {
    Verdict.REAL: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1 -1 0Z",
    Verdict.FAKE: "M0 -1.3L1.25 0.9L-1.25 0.9Z",
    Verdict.UNCERTAIN: "M0 -1.3L1.3 0L0 1.3L-1.3 0Z",
}
"""Around (0, 0), in halves of a badge: whoever sees no colours sees the shape."""
NOTHING = "-"
COLUMNS = ("Picture", "Answer", "How often such an answer is wrong", "Score", "Faces", "Why")
WIDE = {Verdict.REAL: 1.0, Verdict.FAKE: 2.0, Verdict.UNCERTAIN: 1.0}


def answer(judged: Judged, decision: Decision, limits: Limits | None = None) -> str:
    """Everything that one picture's answer consists of."""
    prediction = judged.prediction
    notes = [say(wording.CROWD)] if len(prediction.faces) >= CROWD else []
    rest = (
        cards(judged.pixels, prediction.faces, decision, limits),
        panels.next_steps(prediction),
        panels.file_panel(prediction),
        panels.report_panel(),
        panels.footnote(prediction),
    )
    return (
        f'<div class="rc-answer">{banner(prediction, notes, limits)}{picture(judged.pixels, prediction.faces)}'
        f'<div class="rc-rest">{"".join(rest)}</div></div>'
    )


def banner(prediction: Prediction, notes: Iterable[str] = (), limits: Limits | None = None) -> str:
    """The verdict in plain words, how often such an answer is wrong, and what it does not say."""
    verdict = prediction.verdict or Verdict.NO_FACE
    paragraphs = "".join(f"<p>{escape(sentence)}</p>" for sentence in (*wording.explained(prediction, limits), *notes))
    chance, is_alone = wording.expected_error(prediction), len(prediction.faces) == 1
    # Of one face, not of all of them together.
    numbers = [number for number, face in enumerate(prediction.faces, 1) if face.expected_error is chance]
    whose = "" if is_alone or not numbers else say("Face {number}:", number=numbers[0])
    odds = panels.odds(chance, whose) if chance else ""
    scope = f'<small class="rc-scope">{escape(say(wording.SCOPE))}</small>' if prediction.faces else ""
    return (
        f'<section class="rc-verdict rc-{verdict}" data-verdict="{verdict}" tabindex="-1"><h2><span class="rc-icon" '
        f'aria-hidden="true">{ICONS[verdict]}</span>{escape(wording.headline(prediction))}</h2>'
        f"{panels.contradictions(prediction)}{odds}{paragraphs}{scope}</section>"
    )


def picture(pixels: Pixels, faces: Sequence[Face]) -> str:
    """The picture with a numbered box around every face; shape and pattern say the same as the colour."""
    height, width = pixels.shape[:2]
    boxes = "".join(_box(number, face, max(width, height) / 300) for number, face in enumerate(faces, 1))
    source = data_url(reduced(pixels, PREVIEW_SIDE), quality=88)
    present = {face.verdict for face in faces}
    signs = "".join(
        f'<li class="rc-{verdict}"><span aria-hidden="true">{ICONS[verdict]}</span> {say(wording.HEADLINES[verdict])}: '
        f"{say(sign)}</li>"
        for verdict, sign in texts.SIGNS.items()
        if verdict in present
    )
    legend = f'<figcaption><ul class="rc-legend">{signs}</ul></figcaption>' if signs else ""
    return (
        f'<figure class="rc-picture"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(described(faces))}"><image href="{source}" width="{width}" height="{height}"/>'
        f"{boxes}</svg>{legend}</figure>"
    )


def described(faces: Sequence[Face]) -> str:
    """The alternative text of a judged picture."""
    if not faces:
        return say("Your picture. No face was found in it.")
    listed = "; ".join(
        say("face {number}: {meaning}, score {score}", number=number, meaning=say(wording.HEADLINES[face.verdict]),
            score=wording.points(face.p_fake))
        for number, face in enumerate(faces[:CARDS_SHOWN], 1)
    )  # fmt: skip
    many = len(faces) > 1
    marked = say(
        "Your picture with {count} marked faces." if many else "Your picture with 1 marked face.", count=len(faces)
    )
    more = say("and {count} more", count=len(faces) - CARDS_SHOWN) if len(faces) > CARDS_SHOWN else ""
    return f"{marked} {'; '.join(part for part in (listed, more) if part)}."


def _box(number: int, face: Face, unit: float) -> str:
    x0, y0, x1, y1 = face.box
    size = min(max(unit * 8, (x1 - x0) / 6), (x1 - x0) / 2, unit * 14)
    line, dashes = unit * WIDE[face.verdict], f"{unit * 5:.1f} {unit * 3:.1f}"
    dashed = f' stroke-dasharray="{dashes}"' if face.verdict == Verdict.UNCERTAIN else ""
    return (
        f'<g class="rc-box rc-{face.verdict}" stroke-width="{line:.2f}"><rect{dashed} x="{x0:.1f}" y="{y0:.1f}" '
        f'width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" rx="{unit * 2:.1f}"/>'
        f'<path d="{BADGES[face.verdict]}" transform="translate({x0:.1f} {y0:.1f}) scale({size / 2:.1f})"/>'
        f'<text x="{x0:.1f}" y="{y0:.1f}" font-size="{size * 0.62:.1f}">{number}</text></g>'
    )


def cards(pixels: Pixels, faces: Sequence[Face], decision: Decision, limits: Limits | None = None) -> str:
    """One card a face; those of a crowd beyond the largest are folded away."""
    is_alone = len(faces) == 1  # Then the banner says it all.
    drawn = [
        card(
            _cut(pixels, face),
            number,
            face,
            decision,
            _evidence(face, is_alone),
            heat_button(number),
            wording.reasons(face, limits),
        )
        for number, face in enumerate(faces, 1)
    ]
    return folded(drawn)


def folded(drawn: Sequence[str], rest_are: str = "Show {count} smaller faces") -> str:
    """A list of cards, of which those beyond the first twelve are folded away."""
    if not drawn:
        return ""
    rest = drawn[CARDS_SHOWN:]
    more = (
        f'<details class="rc-more"><summary>{say(rest_are, count=len(rest))}</summary>'
        f'<ol class="rc-cards" start="{CARDS_SHOWN + 1}">{"".join(rest)}</ol></details>'
        if rest
        else ""
    )
    return f'<ol class="rc-cards" aria-label="{say("Faces")}">{"".join(drawn[:CARDS_SHOWN])}</ol>{more}'


def heat_button(number: int) -> str:
    """What asks for the heat map of a face, by its number; nothing beyond the `MOST_FACES` largest."""
    if number > MOST_FACES:
        return ""
    name = f"{say('Face {number}:', number=number)} {say(texts.HEAT)}"
    return (
        f'<button type="button" class="rc-heat" data-face="{number}" aria-pressed="false" '
        f'aria-label="{escape(name)}">{say(texts.HEAT)}</button>'
    )


def _evidence(face: Face, is_alone: bool) -> list[str]:
    """What is known beside the score: how it survives delivery, and how often the model is wrong on such faces."""
    sentences = [wording.delivered(face.stability)] if face.stability else []
    if face.expected_error and not is_alone:
        sentences.insert(
            0, say("Such answers are wrong about {times}.", times=wording.times(face.expected_error.chance))
        )
    return sentences


def card(
    cut: Image.Image,
    number: int,
    face: Face,
    decision: Decision,
    notes: Sequence[str] = (),
    more: str = "",
    reasons: Sequence[str] = (),
) -> str:
    """The face cut out, verdict, score, reasons, notes and perhaps more, of one face."""
    listed = "".join(f'<li data-why="">{escape(sentence)}</li>' for sentence in reasons)
    listed += "".join(f"<li>{escape(sentence)}</li>" for sentence in notes)
    name = escape(say("Face {number}, cut out", number=number))
    return (
        f'<li class="rc-card rc-{face.verdict}"><img src="{data_url(cut)}" alt="{name}" width="96" height="96"/>'
        f"<div><h3>{say('Face {number}:', number=number)} {say(wording.HEADLINES[face.verdict])}</h3>"
        f"{score_bar(face.p_fake, decision, number)}<ul>{listed}</ul>"
        f'<button type="button" class="rc-zoom" aria-label="{name}: {say("Enlarge")}">{say("Enlarge")}</button>'
        f"{more}</div></li>"
    )


def score_bar(p_fake: float, decision: Decision, number: int) -> str:
    """Where the score lies between photographs and generated faces, with the model's doubtful band marked."""
    low, high = decision.uncertain_from, decision.uncertain_to
    name = f"{say('Face {number}:', number=number)} {say('score, from 0 (photograph) to 100 (generated)')}"
    return (
        f'<p class="rc-score"><span>{say("Score")}</span> <b>{wording.points(p_fake)}</b></p>'
        f'<div class="rc-bar" role="meter" aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{p_fake * 100:.0f}" aria-valuetext="{wording.points(p_fake)}">'
        f'<span class="rc-band" style="left:{low:.1%};width:{max(high - low, 0.005):.1%}"></span>'
        f'<span class="rc-mark" style="left:{min(max(p_fake, 0.01), 0.99):.1%}"></span></div>'
        f'<p class="rc-ends" aria-hidden="true"><span>{say("like photographs")}</span>'
        f"<span>{say('like generated faces')}</span></p>"
    )


def reduced(pixels: Pixels, side: int) -> Image.Image:
    """The picture with its longer side at most `side` pixels, for showing only."""
    shown = Image.fromarray(pixels)
    shown.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return shown


def jpeg(shown: Image.Image, quality: int = 85) -> bytes:
    """The picture as a JPEG."""
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def data_url(shown: Image.Image, quality: int = 85) -> str:
    """A JPEG inside the page: no file, and no address that somebody else could open."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(shown, quality)).decode()


def _cut(pixels: Pixels, face: Face) -> Image.Image:
    return Image.fromarray(crop.face(pixels, np.asarray(face.box), CARD_SIDE, CARD_MARGIN))


@dataclass(frozen=True)
class Row:
    """One picture and its answer.

    Attributes:
        thumbnail: a data: URL; empty where there is no picture. answer: as it is shown when it stands alone.
    """

    prediction: Prediction
    thumbnail: str = ""
    answer: str = ""


def side_by_side(rows: Sequence[Row]) -> str:
    """Two pictures beside each other, or the table."""
    if len(rows) == 2 and all(row.answer for row in rows):
        sides = "".join(
            f'<div class="rc-side"><h2 data-name="{place}"></h2>{row.answer}</div>' for place, row in enumerate(rows)
        )
        return f'<section class="rc-compare" data-verdict="several">{sides}</section>'
    return table(rows, len(rows))


def table(rows: Sequence[Row], count: int) -> str:
    """A row for each picture that was judged; its file's name, which was not sent, is filled in by the page."""
    is_done = len(rows) == count
    title = (
        say("{count} pictures", count=count) if is_done else say("{n} of {count} pictures", n=len(rows), count=count)
    )
    mark = 'data-verdict="several"' if is_done else 'data-state="loading"'
    heads = "".join(f'<th scope="col">{say(column)}</th>' for column in COLUMNS)
    body = "".join(_row(row, place) for place, row in enumerate(rows))
    save = f'<button type="button" data-csv="">{say("Download the table (CSV)")}</button>' if is_done else ""
    return (
        f'<section class="rc-table" {mark}><div class="rc-table-head"><h2>{title}</h2>{save}</div>'
        f'<div class="rc-scroll" tabindex="0" role="region" aria-label="{escape(title)}"><table><thead><tr>{heads}</tr>'
        f"</thead><tbody>{body}</tbody></table></div></section>"
    )


def _row(row: Row, place: int) -> str:
    prediction = row.prediction
    verdict = prediction.verdict or "unreadable"
    icon = ICONS[prediction.verdict] if prediction.verdict else NOTHING
    chance = wording.expected_error(prediction)
    why = [prediction.error] if prediction.error else wording.reasons(prediction)
    cells = (
        f'<span aria-hidden="true">{icon}</span> {escape(wording.headline(prediction))}',
        wording.times(chance.chance) if chance else NOTHING,
        NOTHING if prediction.p_fake is None else wording.points(prediction.p_fake),
        str(len(prediction.faces)),
        escape(" ".join(why)),
    )
    image = f'<img src="{row.thumbnail}" alt="" width="64" height="64"/>' if row.thumbnail else ""
    open_it = (
        f'<button type="button" class="rc-open" data-open="{place}">{image}<span data-name="{place}"></span></button>'
    )
    rest = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="rc-{verdict}" data-verdict-of="{verdict}"><th scope="row">{open_it}</th>{rest}</tr>'
