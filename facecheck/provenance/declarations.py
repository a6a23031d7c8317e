"""Declarations in XMP, EXIF and IPTC: digital source type, labels that laws ask for, camera, software, credit.

What they mean stands in `statements.csv`, which grows without code: one row a statement. `kind`: "source_type" (a term
of the digital source types), "label" (words that say it), "generator" (a product that generates, or its maker),
"camera" (a maker of cameras). `match`: how `text`, in small letters, is looked for: "anywhere" as words of their own,
"whole" as the text up to a version, "start", or "pattern" (a regular expression). `claim`, `says`: what it means;
`writer`, `since`, `source`: who writes it, since when, how that is known; `example`: how it looks in a file, where that
is not `text`.
"""

import csv
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from facecheck.provenance import Claim, Finding, Sentence, Strength
from facecheck.provenance.containers import decoded

TABLE = Path(__file__).with_name("statements.csv")
LONGEST_NAME = 300
# Versions may follow a name, and numbers and underscores stand around it, but no other letters.
_WORDS = r"(?<![^\W_])(?:{})(?!(?!v\d)[^\W\d_])"
_WHOLE = r"(?:{})(?:[ _-]?v?\d.*|-[^\W\d_]+\b.*|\s*[;,:(].*)?"
_START = r"(?:{})(?![^\W_])"
_CHINESE = 0x2E80
"""From here on letters stand without spaces between words."""
_IPTC = "Iptc4xmpExt:"
_AI_FIELDS = {
    "AISystemUsed": "generator", "AISystemVersionUsed": "version", "AIPromptInformation": "prompt",
    "AIPromptWriterName": "prompt_writer",
}  # fmt: skip
"""IPTC Photo Metadata 2025.1: what was used to generate the picture."""
_AIGC_FIELDS = {"Label", "ContentProducer", "ProduceID", "ContentPropagator", "PropagateID"}
_AIGC_LABELS = {"1": "was generated", "2": "may be generated", "3": "is suspected to be generated"}
_INSTRUCTIONS, _PROGRAM, _CREDIT, _SOURCE = 40, 65, 110, 115
_IPTC_RESOURCE = 0x0404
LONGEST, LONGEST_DETAIL = 300, 4000


class Field(StrEnum):
    """Where a text stands: that of a program may be a short name, such as "Sora" or "Gemini".

    In credits such a name may be a person's, and captions tell of companies: there only labels count.
    """

    PROGRAM = "program"
    CREDIT = "credit"
    CAPTION = "caption"


@dataclass(frozen=True)
class Statement:
    """A row of `statements.csv`; see the module."""

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
    unknown = Sentence("of the digital source type {name}", name=repr(name[:LONGEST_NAME]))
    return (name, row.claim, Sentence(row.says)) if row else (name, Claim.NOTHING, unknown)


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


def of_xmp(properties: Mapping[str, str]) -> Iterator[Finding]:
    """What XMP properties declare."""
    yield from _of_source_type(properties)
    yield from of_aigc("xmp", properties.get("TC260:AIGC", ""))
    yield from of_camera("xmp", properties.get("tiff:Make", ""), properties.get("tiff:Model", ""))
    for name in ("xmp:CreatorTool", "tiff:Software"):
        yield from of_software("xmp", properties.get(name, ""))
    for name in ("photoshop:Credit", "photoshop:Source"):
        yield from of_words("xmp", properties.get(name, ""), Field.CREDIT)
    for name in ("photoshop:Instructions", "exif:UserComment", "dc:description", "dc:title"):
        yield from of_words("xmp", properties.get(name, ""), Field.CAPTION)
    if url := properties.get("dcterms:provenance"):
        said = Sentence(
            "The file names a place on the internet where its Content Credentials lie. facecheck does not fetch them."
        )
        yield Finding("c2pa", Strength.HINT, said, details={"url": url[:LONGEST]})


def _of_source_type(properties: Mapping[str, str]) -> Iterator[Finding]:
    """The digital source type, and the fields of IPTC 2025.1 for generated pictures."""
    used = {key: properties.get(_IPTC + name, "")[:LONGEST_DETAIL] for name, key in _AI_FIELDS.items()}
    used = {key: value for key, value in used.items() if value}
    uri = properties.get(_IPTC + "DigitalSourceType", "")
    name, claim, words = source_type(uri)
    if uri:
        said = Sentence(
            "The file declares, in the field that IPTC defines for it, that the picture was {words}.", words=words
        )
        yield Finding("iptc", Strength.DECLARED, said, claim, {"digital_source_type": name[:LONGEST]} | used)
    if used and claim in (Claim.NOTHING, Claim.PHOTOGRAPHED):
        said = Sentence(
            "The file declares, in the fields that IPTC defines for it, that {system} generated the picture.",
            system=used["generator"][:LONGEST] if "generator" in used else Sentence("a model"),
        )
        yield Finding("iptc", Strength.DECLARED, said, Claim.GENERATED, used)


def of_aigc(source: str, text: str) -> Iterator[Finding]:
    """The label that China's law asks of generated pictures since September 2025 (GB 45438-2025), a JSON object."""
    label = _aigc(text)
    if label is None:
        return
    value = str(label.get("Label", ""))
    said = Sentence(
        "The file has the label that China's law asks of generated pictures (GB 45438-2025): this one {means}.",
        means=Sentence(_AIGC_LABELS.get(value, "has a value that the standard does not know")),
    )
    claim = Claim.GENERATED if value in _AIGC_LABELS else Claim.NOTHING
    strength = Strength.DECLARED if value == "1" else Strength.HINT
    details = {name: str(label[name])[:LONGEST] for name in sorted(_AIGC_FIELDS) if label.get(name)}
    yield Finding(source, strength, said, claim, details)


def _aigc(text: str) -> dict[str, Any] | None:
    if '"Label"' not in text:
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    label = values.get("AIGC", values) if isinstance(values, dict) else None
    return label if isinstance(label, dict) and len(_AIGC_FIELDS & label.keys()) > 1 else None


def of_camera(source: str, make: str, model: str) -> Iterator[Finding]:
    """The camera, which is a claim to be a photograph if its maker makes cameras."""
    make, model = make[:LONGEST], model[:LONGEST]
    if not (make or model):
        return
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    if declared_by(camera):
        yield from of_software(source, camera)
    elif is_camera(make):
        said = Sentence(
            "The file declares that {camera} captured it. Anybody can write that, and editors keep it in edited "
            "pictures.",
            camera=camera,
        )
        yield Finding(source, Strength.DECLARED, said, Claim.PHOTOGRAPHED, {"camera": camera})
    else:
        said = Sentence(
            "The file says that it was taken with {camera}; facecheck knows no maker of cameras of that name.",
            camera=camera,
        )
        yield Finding(source, Strength.HINT, said, details={"camera": camera})


def of_software(source: str, software: str) -> Iterator[Finding]:
    """The program that wrote the file; those of known generators are a claim."""
    if not software:
        return
    named = list(of_words(source, software, Field.PROGRAM))
    yield from named
    if not named:
        said = Sentence(
            "The file was written with {software}, or says so. Photographs pass through editors too.",
            software=software[:LONGEST],
        )
        yield Finding(source, Strength.HINT, said, details={"software": software[:LONGEST]})


def of_words(source: str, text: str, field: Field) -> Iterator[Finding]:
    """A text that names a generator where a program or a credit stands, or says outright that it was generated."""
    if row := declared_by(text, field):
        text = text[:LONGEST]
        if row.kind == "label":
            said = Sentence("The file says of itself: {text}.", text=repr(text))
        else:
            said = Sentence("The file names {text}, a generator or its maker.", text=text)
        yield Finding(source, Strength.DECLARED, said, row.claim, {"software": text})


def of_iptc(block: bytes) -> Iterator[Finding]:
    """What IPTC records declare, alone or among Photoshop's resources: credit and program; Facebook's mark."""
    records = dict(_records(block if block[:1] == b"\x1c" else _resource(block, _IPTC_RESOURCE)))
    for number, field in ((_CREDIT, Field.CREDIT), (_SOURCE, Field.CREDIT), (_INSTRUCTIONS, Field.CAPTION)):
        yield from of_words("iptc", records.get(number, ""), field)
    yield from of_software("iptc", records.get(_PROGRAM, ""))
    if records.get(_INSTRUCTIONS, "").startswith("FBMD"):
        said = Sentence("The file passed through Facebook or Instagram, which compress pictures again.")
        yield Finding("iptc", Strength.HINT, said)


def _resource(data: bytes, wanted: int) -> bytes:
    """The resource of a number: "8BIM", number, a name padded to even length, size, data padded likewise."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 7 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6])
        start = at + 6 + (data[at + 6] + 2) // 2 * 2 + 4
        size = int.from_bytes(data[start - 4 : start])
        if number == wanted:
            return data[start : start + size]
        at = start + (size + 1) // 2 * 2
    return b""


def _records(data: bytes) -> Iterator[tuple[int, str]]:
    """Datasets of record 2 (IPTC-IIM 4.2) that are read here: 0x1C, record, number, size, text."""
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, number, size = struct.unpack_from(">BBH", data, at + 1)
        if record == 2 and number in (_INSTRUCTIONS, _PROGRAM, _CREDIT, _SOURCE):
            yield number, decoded(data[at + 5 : at + 5 + size])
        at += 5 + size
