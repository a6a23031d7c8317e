"""Declarations in XMP, EXIF and IPTC: digital source type, labels that laws ask for, camera, software, credit."""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from facecheck.provenance.containers import decoded
from facecheck.provenance.findings import Claim, Finding, Strength
from facecheck.provenance.statements import Field, declared_by, is_camera, source_type

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
        said = (
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
        said = f"The file declares, in the field that IPTC defines for it, that the picture was {words}."
        yield Finding("iptc", Strength.DECLARED, said, claim, {"digital_source_type": name[:LONGEST]} | used)
    if used and claim in (Claim.NOTHING, Claim.PHOTOGRAPHED):
        system = used.get("generator", "a model")[:LONGEST]
        said = f"The file declares, in the fields that IPTC defines for it, that {system} generated the picture."
        yield Finding("iptc", Strength.DECLARED, said, Claim.GENERATED, used)


def of_aigc(source: str, text: str) -> Iterator[Finding]:
    """The label that China's law asks of generated pictures since September 2025 (GB 45438-2025), a JSON object."""
    label = _aigc(text)
    if label is None:
        return
    value = str(label.get("Label", ""))
    said = (
        f"The file has the label that China's law asks of generated pictures (GB 45438-2025): this one "
        f"{_AIGC_LABELS.get(value, 'has a value that the standard does not know')}."
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
        said = (
            f"The file declares that {camera} captured it. Anybody can write that, and editors keep it in edited "
            "pictures."
        )
        yield Finding(source, Strength.DECLARED, said, Claim.PHOTOGRAPHED, {"camera": camera})
    else:
        said = f"The file says that it was taken with {camera}; facecheck knows no maker of cameras of that name."
        yield Finding(source, Strength.HINT, said, details={"camera": camera})


def of_software(source: str, software: str) -> Iterator[Finding]:
    """The program that wrote the file; those of known generators are a claim."""
    if not software:
        return
    named = list(of_words(source, software, Field.PROGRAM))
    yield from named
    if not named:
        said = f"The file was written with {software[:LONGEST]}, or says so. Photographs pass through editors too."
        yield Finding(source, Strength.HINT, said, details={"software": software[:LONGEST]})


def of_words(source: str, text: str, field: Field) -> Iterator[Finding]:
    """A text that names a generator where a program or a credit stands, or says outright that it was generated."""
    if row := declared_by(text, field):
        text = text[:LONGEST]
        is_label = row.kind == "label"
        said = (
            f"The file says of itself: {text!r}." if is_label else f"The file names {text}, a generator or its maker."
        )
        yield Finding(source, Strength.DECLARED, said, row.claim, {"software": text})


def of_iptc(block: bytes) -> Iterator[Finding]:
    """What IPTC records declare, alone or among Photoshop's resources: credit and program; Facebook's mark."""
    records = dict(_records(block if block[:1] == b"\x1c" else _resource(block, _IPTC_RESOURCE)))
    for number, field in ((_CREDIT, Field.CREDIT), (_SOURCE, Field.CREDIT), (_INSTRUCTIONS, Field.CAPTION)):
        yield from of_words("iptc", records.get(number, ""), field)
    yield from of_software("iptc", records.get(_PROGRAM, ""))
    if records.get(_INSTRUCTIONS, "").startswith("FBMD"):
        yield Finding(
            "iptc", Strength.HINT, "The file passed through Facebook or Instagram, which compress pictures again."
        )


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
