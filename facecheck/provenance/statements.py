"""The table of statements that files make of themselves, `statements.csv`: it grows without code.

One row a statement. `kind`: "source_type" (a term of the digital source types), "label" (words that say it),
"generator" (a product that generates, or its maker), "camera" (a maker of cameras). `match`: how `text`, in small
letters, is looked for: "anywhere" as words of their own, "whole" as the text up to a version, "start", or "pattern" (a
regular expression). `claim`, `says`: what it means; `writer`, `since`, `source`: who writes it, since when, how that is
known; `example`: how it looks in a file, where that is not `text`.
"""

import csv
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from facecheck.provenance.findings import Claim

TABLE = Path(__file__).with_name("statements.csv")
LONGEST_NAME = 300
# Versions may follow a name, and numbers and underscores stand around it, but no other letters.
_WORDS = r"(?<![^\W_])(?:{})(?!(?!v\d)[^\W\d_])"
_WHOLE = r"(?:{})(?:[ _-]?v?\d.*|-[^\W\d_]+\b.*|\s*[;,:(].*)?"
_START = r"(?:{})(?![^\W_])"
_CHINESE = 0x2E80
"""From here on letters stand without spaces between words."""


class Field(StrEnum):
    """Where a text stands: that of a program may be a short name, such as "Sora" or "Gemini".

    In credits such a name may be a person's, and captions tell of companies: there only labels count.
    """

    PROGRAM = "program"
    CREDIT = "credit"
    CAPTION = "caption"


@dataclass(frozen=True)
class Statement:
    """A row of the table; see the module."""

    kind: str
    match: str
    text: str
    claim: Claim
    says: str
    writer: str
    since: str
    source: str
    example: str


@cache
def statements() -> tuple[Statement, ...]:
    """All rows, in the order of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(Statement(claim=Claim(row.pop("claim")), **row) for row in csv.DictReader(file))


def source_type(uri: str) -> tuple[str, Claim, str]:
    """Name, claim and words of a digital source type, given as its URI or its name."""
    name = uri.rstrip("/").rpartition("/")[2]
    row = _source_types().get(name)
    unknown = f"of the digital source type {name[:LONGEST_NAME]!r}"
    return (name, row.claim, row.says) if row else (name, Claim.NOTHING, unknown)


def declared_by(text: str, field: Field = Field.PROGRAM) -> Statement | None:
    """The statement that a short text makes: a label, or the name of a generator; None where it makes none."""
    text = " ".join(text[:LONGEST_NAME].lower().split())
    if row := _found("whole", "label", text) or _found("anywhere", "label", text):
        return row
    if field == Field.CAPTION:
        return None
    if row := _found("anywhere", "generator", text) or _found("pattern", "generator", text):
        return row
    return _found("whole", "generator", text) if field == Field.PROGRAM else None


def is_camera(make: str) -> bool:
    """Whether a text begins with the name of a known maker of cameras."""
    return _found("start", "camera", make.strip().lower()) is not None


def _found(match: str, kind: str, text: str) -> Statement | None:
    pattern, rows = _compiled(match, kind)
    look = {"whole": pattern.fullmatch, "start": pattern.match}.get(match, pattern.search)
    at = look(text)
    return rows[int(str(at.lastgroup)[1:])] if at else None


@cache
def _compiled(match: str, kind: str) -> tuple[re.Pattern[str], tuple[Statement, ...]]:
    """One expression for all rows of a kind, with a named group for each."""
    rows = tuple(row for row in statements() if row.match == match and row.kind == kind)
    return re.compile("|".join(f"(?P<s{index}>{_expression(row)})" for index, row in enumerate(rows))), rows


def _expression(row: Statement) -> str:
    text = row.text if row.match == "pattern" else re.escape(row.text)
    has_spaces = all(ord(letter) < _CHINESE for letter in row.text)
    shape = {"whole": _WHOLE, "start": _START}.get(row.match, _WORDS if has_spaces else "{}")
    return shape.replace("{}", text)


@cache
def _source_types() -> dict[str, Statement]:
    return {row.text: row for row in statements() if row.kind == "source_type"}
