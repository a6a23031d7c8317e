"""The summary as one HTML page that needs nothing else: no script, no link, no picture from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from facecheck.explain import wording
from facecheck.files import printable
from facecheck.result import Verdict
from facecheck.scan.summary import BINS, SHOWN_ERRORS, UNREADABLE, Summary, Suspect

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
        f"<h2>Verdicts</h2>{_table(rows)}<p>{summary.faces} faces, {summary.clips} clips. Model: "
        f"{_words(summary.models)}.{' Uncertain because of: ' + _words(summary.reasons) if summary.reasons else ''}</p>"
    )


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
