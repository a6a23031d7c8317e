"""The case report: an `Explanation` as plain values for JSON, and as one page of HTML that loads nothing."""

import importlib.metadata
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import facecheck
from facecheck.decoding import Pixels
from facecheck.error_rates import ErrorCell
from facecheck.explain import wording
from facecheck.explain.heatmaps import HeatMap
from facecheck.explain.markup import bullets, data_url, figure, paragraphs, scale, table
from facecheck.explain.wording import say
from facecheck.model import WEIGHTS_DIR
from facecheck.model.config import ModelConfig
from facecheck.provenance import ABSENCE, CAUTION, Finding
from facecheck.result import Face, Prediction

FOLDER = Path(__file__).parent
CARD_SECTIONS = ("Known limits",)
SCALE = "<span class=heat><span>{}</span><i></i><span>{}</span></span>"
OFFLINE = "Only the machine that judged the picture was needed for this report; nothing left it."
TITLE = "facecheck: case report"


@dataclass(frozen=True)
class FaceEvidence:
    """One face with what was seen of it.

    Attributes:
        face: as in `Explanation.prediction.faces`.
        pixels: (S, S, 3) uint8 RGB, the face as the classifier saw it.
        heat_maps: one for each method asked for.
        cells: how often the model is wrong on faces with each of its measurements, the worst first.
    """

    face: Face
    pixels: Pixels
    heat_maps: tuple[HeatMap, ...]
    cells: tuple[ErrorCell, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """An answer with its evidence.

    Attributes:
        prediction: with stability; an input that cannot be read has its `error` set.
        picture: (H, W, 3) uint8 RGB, upright; None if it could not be read.
        faces: largest first, at most `MOST_FACES`.
        model: what stands beside the weights. threshold: p_fake from which a face is called fake here.
        sha256, bytes: of the file; empty and None for pixels.
    """

    prediction: Prediction
    picture: Pixels | None = None
    faces: tuple[FaceEvidence, ...] = ()
    model: ModelConfig | None = None
    threshold: float = 0.5
    sha256: str = ""
    bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The case report as plain values, without the pictures; ready for `json.dumps`."""
        return {
            "prediction": self.prediction.to_dict(),
            "file": {"sha256": self.sha256, "bytes": self.bytes},
            "threshold": self.threshold,
            "expected_errors": [[cell.meaning for cell in face.cells] for face in self.faces],
            "heat_maps": [[heat.method for heat in face.heat_maps] for face in self.faces],
            "versions": versions(),
            "limits": list(wording.LIMITS),
            "made_at": now(),
        }

    def to_html(self, more: str = "") -> str:
        """The case report as one self-contained page, for screen and print, every input escaped.

        Args:
            more: HTML that stands in place of a picture and its faces, as of a clip.
        """
        page, style = (FOLDER.joinpath(name).read_text(encoding="utf-8") for name in ("report.html", "report.css"))
        seen, known = (_head, _contradiction, _picture, _faces), (_provenance, _model, _limits, _technical)
        parts = [*(make(self) for make in seen), more, *(make(self) for make in known)]
        body = "\n".join(part for part in parts if part)
        return page.format(style=style, body=body, language=say("en"), title=say(TITLE))


def versions() -> dict[str, str]:
    """Of everything that has a say in the pixels and the score."""
    names = ("torch", "torchvision", "facenet-pytorch", "opencv-python", "pillow", "numpy")
    return {"facecheck": facecheck.__version__, "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in names
    }


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _head(found: Explanation) -> str:
    answer = found.prediction
    verdict = answer.verdict
    score = "" if answer.p_fake is None else paragraphs([wording.score(answer.p_fake)])
    chance = wording.expected_error(answer)
    odds = paragraphs(wording.chance_of_error(chance)) if chance and len(answer.faces) == 1 else ""
    limits = found.model.limits if found.model else None
    error = f"<p>{escape(answer.error)}</p>" if answer.error else ""
    budget = (
        f"<p class=small>{say('With the budget that was asked for:')} {escape(answer.budget.meaning)}.</p>"
        if answer.budget
        else ""
    )
    return (
        f"<h1>{say(TITLE)}</h1><p class=source>{escape(answer.source)} · {now()}</p>"
        f"<section class='panel verdict {verdict or 'unreadable'}'><strong>{wording.headline(answer)}</strong>"
        f"{paragraphs(wording.explained(answer, limits))}{odds}{error}{score}{_deciding(found)}{budget}"
        f"<p class=small>{say(wording.SCOPE)}</p></section>"
    )


def _deciding(found: Explanation) -> str:
    """Of several faces, which ones the verdict on the picture comes from."""
    answer = found.prediction
    numbers = [str(number) for number, face in enumerate(answer.faces, start=1) if face.verdict == answer.verdict]
    if len(answer.faces) < 2 or len(numbers) == len(answer.faces):
        return ""
    decided = "Decided by face {numbers} of {count}; the score is the highest of them all."
    return f"<p class=small>{say(decided, numbers=', '.join(numbers), count=len(answer.faces))}</p>"


def _contradiction(found: Explanation) -> str:
    provenance = found.prediction.provenance
    said = [words for words in (found.prediction.contradiction, provenance.conflict if provenance else None) if words]
    return (
        f"<section class='panel against'><h3>{say('A contradiction')}</h3>{paragraphs(map(say, said))}</section>"
        if said
        else ""
    )


def _picture(found: Explanation) -> str:
    if found.picture is None:
        return ""
    width, height = found.prediction.size or found.picture.shape[1::-1]
    line = max(width, height) / 300
    boxes = []
    for number, face in enumerate(found.prediction.faces, start=1):
        x0, y0, x1, y1 = face.box
        place = f"x='{x0:.0f}' y='{y0:.0f}' width='{x1 - x0:.0f}' height='{y1 - y0:.0f}'"
        boxes.append(
            f"<rect class=shade {place} stroke-width='{2 * line:.1f}'/><rect {place} stroke-width='{line:.1f}'/>"
            f"<text x='{x0 + line:.0f}' y='{y0 + 8 * line:.0f}' font-size='{8 * line:.0f}' "
            f"stroke-width='{line:.1f}'>{number}</text>"
        )
    svg = f"<svg viewBox='0 0 {width} {height}' aria-hidden=true>{''.join(boxes)}</svg>"
    image = f"<img alt='{escape(say('The picture, with its faces numbered'))}' src='{data_url(found.picture)}'>"
    return f"<section class=panel><figure class=picture><div>{image}{svg}</div></figure></section>"


def _faces(found: Explanation) -> str:
    if not found.faces:
        return ""
    cards = [_face(number, seen, found) for number, seen in enumerate(found.faces, start=1)]
    left = len(found.prediction.faces) - len(found.faces)
    more = f"<p class=small>{say('{left} smaller faces are in the JSON report only.', left=left)}</p>" if left else ""
    return f"<h2>{say('The faces')}</h2>{''.join(cards)}{more}<p class=small>{say(wording.HEAT_MAP_CAUTION)}</p>"


def _face(number: int, seen: FaceEvidence, found: Explanation) -> str:
    face, name = seen.face, f"face-{number}"
    figures = [figure(seen.pixels, say("The face as the model saw it"), name)]
    figures += [
        figure(heat.on(seen.pixels), say(wording.HEAT_MAPS[heat.method]), f"{name}-{heat.method}", SCALE.format(*ends))
        for heat in seen.heat_maps
        for ends in [[say(end) for end in wording.HEAT_SCALE]]
    ]
    stability = face.stability
    expected = paragraphs(wording.chance_of_error(face.expected_error)) if face.expected_error else ""
    low, high = (stability.low, stability.high) if stability else (face.p_fake, face.p_fake)
    stable = paragraphs([say(wording.BETWEEN, least=f"{low:.2f}", most=f"{high:.2f}")] if stability else [])
    rows = {say("Size"): say("{n} pixels", n=f"{face.size_px:.0f}")}
    if stability:
        each = zip(stability.p_fake, stability.deliveries, strict=True)
        rows[say("Saved or resized again")] = ", ".join(f"{score:.2f} ({name})" for score, name in each)
    why = paragraphs(wording.reasons(face, found.model.limits if found.model else None))
    return (
        f"<section class='panel face {face.verdict}'><div class=maps>{''.join(figures)}</div><div>"
        f"<h3>{say('Face {number}:', number=number)} <strong>{say(wording.HEADLINES[face.verdict])}</strong></h3>{why}"
        f"<p>{say('Score {score}.', score=f'{face.p_fake:.2f}')}</p>{scale(face.p_fake, low, high, found.threshold)}"
        f"{stable}{expected}{table(rows)}"
        "</div></section>"
    )


def _provenance(found: Explanation) -> str:
    provenance = found.prediction.provenance
    if provenance is None:
        return ""
    said = "".join(_finding(finding) for finding in provenance.findings) or f"<p>{say(ABSENCE)}</p>"
    problems = "".join(f"<p class=small>{escape(say(problem))}</p>" for problem in provenance.problems)
    return (
        f"<h2>{say('What the file says about its own origin')}</h2><section class='panel open'>{said}{problems}"
        f"<p class=small>{say(CAUTION)}</p></section>"
    )


def _finding(finding: Finding) -> str:
    details = {say(name.replace("_", " ")): wording.told(value) for name, value in finding.details.items()}
    tag = f"<span class='tag {finding.strength}'>{say(wording.STRENGTHS[finding.strength])}</span>"
    return f"<div class=finding>{tag}<p>{escape(say(finding.says))}</p>{table(details)}</div>"


def _model(found: Explanation) -> str:
    config = found.model
    if config is None:
        return ""
    rows = {
        say("Model"): f"{config.name} {config.version} ({config.architecture})", "sha256": config.sha256,
        say("Threshold"): f"{found.threshold:.3f}", say("Licence"): config.licence,
        say("Trained on"): ", ".join(config.training_data),
    }  # fmt: skip
    said = say("From its model card:")
    excerpts = [
        f"<h3>{said} <span lang=en>{name}</span></h3><div lang=en>{bullets(items)}</div>"
        for name, items in _card(config.name).items()
    ]
    return f"<h2>{say('The model')}</h2><section class='panel open'>{table(rows)}{''.join(excerpts)}</section>"


def _card(name: str) -> dict[str, list[str]]:
    """The points of chosen sections of the model card, for the model that ships with the package."""
    path = WEIGHTS_DIR / "MODEL_CARD.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    text = re.sub(r"\A---\n.*?\n---\n\s*", "", text, flags=re.S)  # What Hugging Face reads.
    if not text.startswith(f"# {name}"):
        return {}
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.S | re.M))
    points = {
        title: re.findall(r"^- (.*?)(?=^- |^\s*$|\Z)", sections.get(title, ""), re.S | re.M) for title in CARD_SECTIONS
    }
    return {title: [_plain(item) for item in items] for title, items in points.items() if items}


def _plain(markdown: str) -> str:
    return re.sub(r"\*+|`", "", " ".join(markdown.split()))


def _limits(_: Explanation) -> str:
    said = [say(sentence) for sentence in (*wording.LIMITS, OFFLINE)]
    return f"<h2>{say('What this report cannot say')}</h2><section class=panel>{bullets(said)}</section>"


def _technical(found: Explanation) -> str:
    size = found.prediction.size
    said = found.prediction.provenance
    rows = {
        say("File"): found.prediction.source, say("sha256 of the file"): found.sha256 or say("none: pixels were given"),
        say("Bytes"): "" if found.bytes is None else f"{found.bytes:,}", say("Container"): said.format if said else "",
        say("Picture"): say("{n} pixels", n=f"{size[0]} x {size[1]}") if size else "", say("Time"): now(),
        say("Versions"): ", ".join(f"{name} {version}" for name, version in versions().items()),
    }  # fmt: skip
    return f"<h2>{say('Technical')}</h2><section class=panel>{table({k: v for k, v in rows.items() if v})}</section>"
