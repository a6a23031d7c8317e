"""The review page of a scan: counts, scores and the most suspicious faces, in one file that needs nothing else.

No script, no link, no picture from elsewhere; beside it the numbers as JSON and a contact sheet.
"""

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw

from facecheck import crop, image
from facecheck.errors import ImageError
from facecheck.explain import wording
from facecheck.files import printable, write_atomically
from facecheck.result import Verdict
from facecheck.scan.summary import BINS, SHOWN_ERRORS, UNREADABLE, Summary, Suspect

PAGE, VALUES, SHEET = REVIEW_FILES = ("summary.html", "summary.json", "contact-sheet.jpg")
THUMBNAIL_PX, SHEET_COLUMNS, JPEG_QUALITY, MARGIN = 160, 8, 80, 1.3
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.bars { display: flex; align-items: flex-end; gap: 2px; height: 10rem; border-bottom: 1px solid; }
.bars span { flex: 1; background: #4a76a8; min-height: 0; }
.ends { display: flex; justify-content: space-between; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img, .gone { width: 100%; aspect-ratio: 1; object-fit: cover; background: #8884; }
figcaption, .path { overflow-wrap: anywhere; font-size: .85rem; }
"""


def write_review(summary: Summary, folder: Path) -> None:
    """`REVIEW_FILES`, each atomically; the page is complete in itself."""
    folder.mkdir(parents=True, exist_ok=True)
    suspects = summary.most_suspicious()
    thumbnails = [thumbnail(suspect) for suspect in suspects]
    write_atomically(folder / SHEET, _jpeg(contact_sheet(suspects, thumbnails)))
    write_atomically(folder / VALUES, (json.dumps(summary.to_dict(), indent=2) + "\n").encode())
    links = [_link(picture) for picture in thumbnails]
    write_atomically(folder / PAGE, page(summary, links).encode("utf-8", "backslashreplace"))


def thumbnail(suspect: Suspect) -> Image.Image | None:
    """The face that gave the score; None if the file is gone or was changed beyond recognition."""
    try:
        if suspect.at_s is None:
            pixels = image.load(Path(suspect.path))
        else:
            from facecheck.video.judging import frame_at

            pixels = frame_at(suspect.path, suspect.at_s)
    except ImageError:
        return None
    return Image.fromarray(crop.face(pixels, suspect.box, THUMBNAIL_PX, MARGIN))


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


def page(summary: Summary, thumbnails: Sequence[str | None]) -> str:
    """The page.

    Args:
        thumbnails: a `data:` URL for each of `summary.most_suspicious()`; None where there is none.
    """
    parts = [
        f"<h1>facecheck scan: {summary.files} files</h1><p>{escape(wording.NOT_A_PROOF)}</p>",
        _counts(summary),
        _histogram(summary.histogram),
        _suspects(summary.most_suspicious(), thumbnails),
        _errors(summary),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>facecheck scan</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _counts(summary: Summary) -> str:
    meanings = {verdict.value: verdict.meaning for verdict in Verdict} | {UNREADABLE: wording.UNREADABLE}
    rows = [
        (word, summary.verdicts[word], f"{summary.verdicts[word] / max(summary.files, 1):.1%}", meaning)
        for word, meaning in meanings.items()
    ]
    return (
        f"<h2>Verdicts</h2>{_table(rows)}<p>{summary.faces} faces, {summary.clips} clips{_cut(summary)}. Model: "
        f"{_words(summary.models)}.{' Uncertain because of: ' + _words(summary.reasons) if summary.reasons else ''}</p>"
    )


def _cut(summary: Summary) -> str:
    return f", {summary.cut_clips} of them not looked at to the end" if summary.cut_clips else ""


def _words(counts: Mapping[str, int]) -> str:
    return escape(", ".join(f"{printable(name)} ({count})" for name, count in counts.items()))


def _histogram(histogram: Sequence[int]) -> str:
    highest = max(*histogram, 1)
    bars = "".join(
        f'<span style="height:{100 * count / highest:.2f}%" title="p_fake {number / BINS:.2f} to '
        f'{(number + 1) / BINS:.2f}: {count} files"></span>'
        for number, count in enumerate(histogram)
    )
    return (
        f'<h2>Scores</h2><div class="bars" role="img" aria-label="Histogram of p_fake: {list(histogram)}">{bars}</div>'
        f'<div class="ends"><span>p_fake 0</span><span>highest bar: {max(histogram)} files</span><span>1</span></div>'
    )


def _suspects(suspects: Sequence[Suspect], thumbnails: Sequence[str | None]) -> str:
    if not suspects:
        return "<h2>Most suspicious</h2><p>No face was found in any file.</p>"
    figures = "".join(_figure(suspect, link) for suspect, link in zip(suspects, thumbnails, strict=True))
    return f'<h2>Most suspicious</h2><div class="faces">{figures}</div>'


def _figure(suspect: Suspect, link: str | None) -> str:
    shown = f'<img src="{escape(link)}" alt="">' if link else '<div class="gone"></div>'
    when = "" if suspect.at_s is None else f" at {suspect.at_s:.1f} s"
    score = f"<b>{suspect.p_fake:.3f}</b> {escape(suspect.verdict)}{when}"
    return f"<figure>{shown}<figcaption>{score}<br>{escape(printable(suspect.path))}</figcaption></figure>"


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


def _link(picture: Image.Image | None) -> str | None:
    return None if picture is None else f"data:image/jpeg;base64,{base64.b64encode(_jpeg(picture)).decode()}"


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
