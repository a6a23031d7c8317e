"""A scan for handing over: counts, scores, the faces to look at first, and what people decided, in one page.

No server, no script, no picture from elsewhere; beside it the numbers as JSON and a contact sheet.
"""

import base64
import heapq
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image, ImageDraw

from facecheck.errors import ImageError
from facecheck.explain import wording
from facecheck.files import printable, write_atomically
from facecheck.result import Verdict
from facecheck.review.decisions import Decision, Judgement
from facecheck.review.filters import UNREADABLE, deciding_face, rules_of
from facecheck.review.pictures import jpeg, thumbnail
from facecheck.scan.rows import CLIP, Row

PAGE, VALUES, SHEET = REVIEW_FILES = ("summary.html", "summary.json", "contact-sheet.jpg")
BINS = 20
SUSPECTS, DOUBTS, SHOWN_ERRORS = 200, 100, 100
THUMBNAIL_PX, SHEET_COLUMNS, MARGIN = 160, 8, 1.3
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.bars { position: relative; display: flex; align-items: flex-end; gap: 2px; height: 10rem; border-bottom: 1px solid; }
.bars span { flex: 1; background: #4a76a8; min-height: 0; }
.bars i { position: absolute; top: 0; bottom: 0; border-left: 2px dashed #a8271d; }
.ends { display: flex; justify-content: space-between; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img, .gone { width: 100%; aspect-ratio: 1; object-fit: cover; background: #8884; }
figcaption, .path { overflow-wrap: anywhere; font-size: .85rem; }
.said { font-weight: 700; } .said.generated { color: #c4382c; } .said.genuine { color: #2f7fd1; }
"""


@dataclass(frozen=True, order=True)
class Suspect:
    """A file that was called fake or stands near it; ordered by score."""

    p_fake: float
    path: str
    row: Row = field(compare=False)
    judgement: Judgement | None = field(default=None, compare=False)


@dataclass
class Summary:
    """What is kept of all rows, whatever their number.

    Attributes:
        histogram: pictures by p_fake, 20 equal bins over [0, 1].
        verdicts: by verdict, with "unreadable" for files with an error.
        decisions: by what people decided.
        cut_clips: clips that were not looked at to their end.
        suspects, doubts: the highest scores, of all files and of the uncertain ones; heaps.
        thresholds: p_fake from which a face is called fake, of all that the rows were made with; None: not known.
    """

    files: int = 0
    faces: int = 0
    clips: int = 0
    cut_clips: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    errors: list[tuple[str, str]] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)
    suspects: list[Suspect] = field(default_factory=list)
    doubts: list[Suspect] = field(default_factory=list)
    thresholds: dict[tuple[str, float | None], float | None] = field(default_factory=dict)

    def add(self, row: Row, decision: Decision | None = None) -> None:
        """One more file."""
        self.files += 1
        self.faces += len(row["faces"])
        if row["kind"] == CLIP:
            self.clips += 1
            self.cut_clips += not row["clip"]["complete"]
        self.verdicts[row["verdict"] or UNREADABLE] += 1
        self.reasons.update(row["reasons"])
        self.models[f"{row['model']['name']} {row['model']['version']}"] += 1
        judgement = decision.judgement if decision is not None and decision.holds_for(row) else None
        if judgement is not None:
            self.decisions[judgement] += 1
        if row["error"] is not None and len(self.errors) < SHOWN_ERRORS:
            self.errors.append((row["path"], row["error"]))
        if row["p_fake"] is not None:
            self.histogram[min(int(row["p_fake"] * BINS), BINS - 1)] += 1
            self._suspect(row, judgement)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; paths as they are."""
        numbers: dict[str, Any] = {"files": self.files, "clips": self.clips, "faces": self.faces}
        numbers |= {"cut_clips": self.cut_clips}
        counts = {"verdicts": dict(self.verdicts), "reasons": dict(self.reasons), "models": dict(self.models)}
        counts |= {"decisions": dict(self.decisions)}
        worst = [{"path": s.path, "p_fake": s.p_fake, "verdict": s.row["verdict"]} for s in self.most_suspicious()]
        return numbers | counts | {"histogram": self.histogram, "most_suspicious": worst}

    def most_suspicious(self) -> list[Suspect]:
        """At most 200, the highest score first."""
        return sorted(self.suspects, reverse=True)

    def doubtful(self) -> list[Suspect]:
        """At most 100 uncertain ones that are not among the most suspicious, the highest score first."""
        shown = {suspect.path for suspect in self.suspects}
        return [suspect for suspect in sorted(self.doubts, reverse=True) if suspect.path not in shown][:DOUBTS]

    def _suspect(self, row: Row, judgement: Judgement | None) -> None:
        suspect = Suspect(row["p_fake"], row["path"], row, judgement)
        _keep(self.suspects, suspect, SUSPECTS)
        if row["verdict"] == Verdict.UNCERTAIN:
            _keep(self.doubts, suspect, SUSPECTS + DOUBTS)
        budget = row["budget"]
        made_with = row["model"]["sha256"], None if budget is None else budget["max_fpr"]
        if made_with not in self.thresholds:
            known = rules_of(sha256=made_with[0])[1:]
            own = known[0].threshold.threshold if known and known[0].threshold else None
            self.thresholds[made_with] = own if budget is None else budget["threshold"]


def _keep(heap: list[Suspect], suspect: Suspect, most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, suspect)
    else:
        heapq.heappushpop(heap, suspect)


def summarise(rows: Iterable[Row], decisions: Mapping[str, Decision] | None = None) -> Summary:
    """Read rows once; memory does not grow with their number."""
    summary, decisions = Summary(), decisions or {}
    for row in rows:
        summary.add(row, decisions.get(row["path"]))
    return summary


def write_review(summary: Summary, folder: Path) -> None:
    """`REVIEW_FILES`, each atomically; the page is complete in itself."""
    folder.mkdir(parents=True, exist_ok=True)
    suspects = summary.most_suspicious()
    thumbnails = [_thumbnail(suspect) for suspect in suspects]
    write_atomically(folder / SHEET, jpeg(contact_sheet(suspects, thumbnails)))
    write_atomically(folder / VALUES, (json.dumps(summary.to_dict(), indent=2) + "\n").encode())
    write_atomically(folder / PAGE, page(summary, thumbnails).encode("utf-8", "backslashreplace"))


def as_page(rows: Iterable[Row], decisions: Mapping[str, Decision]) -> str:
    """The page alone."""
    summary = summarise(rows, decisions)
    return page(summary, [_thumbnail(suspect) for suspect in summary.most_suspicious()])


def contact_sheet(suspects: list[Suspect], thumbnails: list[Image.Image | None]) -> Image.Image:
    """Thumbnails in rows of eight, the most suspicious first, each with its score."""
    rows = max(-(-len(suspects) // SHEET_COLUMNS), 1)
    cell = THUMBNAIL_PX + 20
    sheet = Image.new("RGB", (SHEET_COLUMNS * THUMBNAIL_PX, rows * cell), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (suspect, picture) in enumerate(zip(suspects, thumbnails, strict=True)):
        x, y = number % SHEET_COLUMNS * THUMBNAIL_PX, number // SHEET_COLUMNS * cell
        if picture is not None:
            sheet.paste(picture, (x, y))
        name = printable(Path(suspect.path).name).encode("ascii", "replace").decode()
        pen.text((x + 4, y + THUMBNAIL_PX + 4), f"{suspect.p_fake:.2f} {name[:18]}", fill="black")
    return sheet


def page(summary: Summary, thumbnails: Sequence[Image.Image | None]) -> str:
    """The page.

    Args:
        thumbnails: of each of `summary.most_suspicious()`; None where there is none.
    """
    doubtful = summary.doubtful()
    parts = [
        f"<h1>facecheck scan: {summary.files} files</h1><p>{escape(wording.NOT_A_PROOF)}</p>",
        _counts(summary),
        _histogram(summary),
        _figures("Most suspicious", summary.most_suspicious(), thumbnails),
        _figures("Uncertain", doubtful, [_thumbnail(suspect) for suspect in doubtful]) if doubtful else "",
        _errors(summary),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>facecheck scan</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _thumbnail(suspect: Suspect) -> Image.Image | None:
    """The face that gave the score; None if the file is gone or was changed."""
    try:
        return thumbnail(suspect.row, THUMBNAIL_PX, MARGIN)
    except ImageError:
        return None


def _counts(summary: Summary) -> str:
    meanings = {verdict.value: verdict.meaning for verdict in Verdict} | {UNREADABLE: wording.UNREADABLE}
    rows = [
        (word, summary.verdicts[word], f"{summary.verdicts[word] / max(summary.files, 1):.1%}", meaning)
        for word, meaning in meanings.items()
    ]
    decided = f"<p>Decided by people: {_words(summary.decisions)}.</p>" if summary.decisions else ""
    return (
        f"<h2>Verdicts</h2>{_table(rows)}<p>{summary.faces} faces, {summary.clips} clips{_cut(summary)}. Model: "
        f"{_words(summary.models)}.{' Uncertain because of: ' + _words(summary.reasons) if summary.reasons else ''}</p>"
        f"{decided}"
    )


def _cut(summary: Summary) -> str:
    return f", {summary.cut_clips} of them not looked at to the end" if summary.cut_clips else ""


def _words(counts: Mapping[str, int]) -> str:
    return escape(", ".join(f"{printable(name)} ({count})" for name, count in counts.items()))


def _histogram(summary: Summary) -> str:
    histogram, highest = summary.histogram, max(*summary.histogram, 1)
    bars = "".join(
        f'<span style="height:{100 * count / highest:.2f}%" title="p_fake {number / BINS:.2f} to '
        f'{(number + 1) / BINS:.2f}: {count} files"></span>'
        for number, count in enumerate(histogram)
    )
    thresholds = sorted({at for at in summary.thresholds.values() if at is not None})
    lines = "".join(f'<i style="left:{at:.2%}" title="threshold: p_fake {at:.3f}"></i>' for at in thresholds)
    at = f" Dashed: called fake from {', '.join(f'{one:.2f}' for one in thresholds)} on." if thresholds else ""
    return (
        f'<h2>Scores</h2><div class="bars" role="img" aria-label="Histogram of p_fake: {list(histogram)}">{bars}{lines}'
        f'</div><div class="ends"><span>p_fake 0</span><span>highest bar: {max(histogram)} files.{at}</span>'
        "<span>1</span></div>"
    )


def _figures(title: str, suspects: Sequence[Suspect], thumbnails: Sequence[Image.Image | None]) -> str:
    if not suspects:
        return f"<h2>{title}</h2><p>No face was found in any file.</p>"
    figures = "".join(_figure(suspect, picture) for suspect, picture in zip(suspects, thumbnails, strict=True))
    return f'<h2>{title}</h2><div class="faces">{figures}</div>'


def _figure(suspect: Suspect, picture: Image.Image | None) -> str:
    shown = '<div class="gone"></div>'
    if picture is not None:
        shown = f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg(picture)).decode()}" alt="">'
    face, when = deciding_face(suspect.row), ""
    if suspect.row["clip"] and suspect.row["clip"].get("tracks"):
        when = f" at {suspect.row['clip']['tracks'][suspect.row['faces'].index(face)]['at_s']:.1f} s"
    said = f' <span class="said {suspect.judgement}">{suspect.judgement}</span>' if suspect.judgement else ""
    score = f"<b>{suspect.p_fake:.3f}</b> {escape(suspect.row['verdict'])}{when}{said}"
    link = f'<a href="file://{quote(os.fsencode(suspect.path))}">{escape(printable(suspect.path))}</a>'
    return f"<figure>{shown}<figcaption>{score}<br>{link}</figcaption></figure>"


def _errors(summary: Summary) -> str:
    count = summary.verdicts[UNREADABLE]
    if not count:
        return ""
    items = "".join(f'<li class="path">{escape(printable(error))}</li>' for _, error in summary.errors)
    more = f"<p>The first {SHOWN_ERRORS} are listed.</p>" if count > SHOWN_ERRORS else ""
    return f"<h2>Unreadable: {count}</h2>{more}<ul>{items}</ul>"


def _table(rows: Iterable[tuple[object, ...]]) -> str:
    return "<table>" + "".join(_line(row) for row in rows) + "</table>"


def _line(row: tuple[object, ...]) -> str:
    name, *numbers, meaning = (escape(str(cell)) for cell in row)
    cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
    return f"<tr><th>{name}</th>{cells}<td>{meaning}</td></tr>"
