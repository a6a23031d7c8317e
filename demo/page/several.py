"""Several pictures at once: two stand side by side, more of them in a table with a row each."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from demo.page.results import ICONS
from facecheck.explain import wording
from facecheck.explain.wording import say
from facecheck.result import Prediction

NOTHING = "-"
COLUMNS = ("Picture", "Answer", "How often such an answer is wrong", "Score", "Faces", "Why")


@dataclass(frozen=True)
class Row:
    """One picture and its answer.

    Attributes:
        thumbnail: a data: URL; empty where there is no picture. answer: as it is shown when it stands alone.
    """

    prediction: Prediction
    thumbnail: str = ""
    answer: str = ""


def answer(rows: Sequence[Row]) -> str:
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
