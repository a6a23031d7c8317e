"""What a file says about its own origin: containers -> metadata blocks -> typed findings. No part of the pixel score.

Here: the typed answer, findings with their sources and strengths. The public function is `facecheck.provenance`; it
stands in `facecheck.provenance.reader`.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import reduce
from typing import Any, Self

_PLACE = re.compile(r"\{(\w+)\}")


class Sentence(str):
    """English text that knows its parts, so that it can be said in another language.

    Attributes:
        template: the text with {places}. values: what fills them; some are sentences of their own.
    """

    template: str
    values: dict[str, str]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Fill the places; what stands in the values, a stranger's braces too, stays as it is."""
        texts = {name: value if isinstance(value, str) else str(value) for name, value in values.items()}
        made = super().__new__(cls, _PLACE.sub(lambda at: texts.get(at[1], at[0]), template))
        made.template, made.values = template, texts
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, str]]:
        """For copies."""
        return (self.template,), self.values


def joined(parts: Iterable[str], template: str) -> str:
    """Parts put together two by two, such as by "{first} and {second}"; there must be one."""
    return reduce(lambda first, second: Sentence(template, first=first, second=second), parts)


ABSENCE = (
    "The file says nothing about its origin. That means nothing: most websites and messengers remove such data, "
    "and anybody can remove or invent them."
)
CAUTION = "What a file says of itself can be removed, copied or invented. It never changes the verdict on the pixels."


class Strength(StrEnum):
    """How far a finding can be trusted.

    SIGNED: a digital signature that is intact and covers this very file; who signed is a question of its own.
    DECLARED: the file says so outright; anybody can write that.
    HINT: a trace of a program, or an oddity of the file.
    """

    SIGNED = "signed"
    DECLARED = "declared"
    HINT = "hint"


class Claim(StrEnum):
    """What a finding says about the origin of the picture."""

    GENERATED = "generated"
    PARTLY_GENERATED = "partly_generated"
    EDITED = "edited"
    PHOTOGRAPHED = "photographed"
    NOTHING = "nothing"


_SAYS = {
    Claim.GENERATED: "by its {source} data ({strength}) the picture was generated",
    Claim.PARTLY_GENERATED: "by its {source} data ({strength}) the picture was generated in part",
    Claim.PHOTOGRAPHED: "by its {source} data ({strength}) the picture is a photograph",
}
_GENERATED = (Claim.GENERATED, Claim.PARTLY_GENERATED)


@dataclass(frozen=True)
class Finding:
    """One thing that the file says.

    Attributes:
        source: where it was found: "c2pa", "iptc", "xmp", "exif", "text", "comment" or "file".
        says: the sentence that people read, a `Sentence` unless it comes from JSON.
        claim: what it says about the origin.
        details: names and values as plain text, such as prompt, seed, model, software, signer.
    """

    source: str
    strength: Strength
    says: str
    claim: Claim = Claim.NOTHING
    details: dict[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The finding that `Provenance.to_dict` wrote."""
        return cls(
            source=str(values["source"]),
            strength=Strength(values["strength"]),
            says=_text(values["says"]),
            claim=Claim(values["claim"]),
            details={str(name): _text(value) for name, value in values["details"].items()},
        )


@dataclass(frozen=True)
class Provenance:
    """Everything that a file says about its own origin.

    Attributes:
        format: of the container, by its content: "PNG", "JPEG", ...; empty where it is not known.
        findings: strongest first; empty is a normal answer and means nothing.
        problems: what could not be read, and why.
    """

    format: str = ""
    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the findings say about the origin, strongest first, each once."""
        return tuple(dict.fromkeys(f.claim for f in self.findings if f.claim != Claim.NOTHING))

    @property
    def conflict(self) -> str | None:
        """A sentence where findings contradict each other: a camera and a generator in one file."""
        if not {Claim.GENERATED, Claim.PHOTOGRAPHED} <= set(self.claims):
            return None
        photographed, generated = (self._strongest(claim) for claim in (Claim.PHOTOGRAPHED, Claim.GENERATED))
        return Sentence(
            "The file contradicts itself. By its {photo_source} data ({photo_strength}) it is a photograph, "
            "by its {source} data ({strength}) it was generated.",
            **_origin(generated), **{f"photo_{name}": value for name, value in _origin(photographed).items()},
        )  # fmt: skip

    def contradiction(self, verdict: str | None) -> str | None:
        """A sentence where the file and the verdict on the pixels disagree; the verdict stays what it is."""
        generated = next((claim for claim in _GENERATED if claim in self.claims), None)
        photographed = Claim.PHOTOGRAPHED if Claim.PHOTOGRAPHED in self.claims else None
        opposite, same = (generated, photographed) if verdict == "real" else (photographed, generated)
        if verdict not in ("real", "fake") or opposite is None:
            return None
        says = Sentence(_SAYS[opposite], **_origin(self._strongest(opposite)))
        if same is not None:
            other = Sentence(_SAYS[same], **_origin(self._strongest(same)))
            says = Sentence("the file says both: {first}, {second}", first=other, second=says)
        both = "Both stand as they are: neither was changed because of the other."
        if verdict == "real":
            return Sentence(f"The pixels show no sign of generation, but {{says}}. {both}", says=says)
        return Sentence(f"The pixels look generated, but {{says}}. {both}", says=says)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What people read: the findings, a conflict, what could not be read; or what an absence means."""
        said = tuple(finding.says for finding in self.findings)
        conflict = (self.conflict,) if self.conflict else ()
        return (*(said or (ABSENCE,)), *conflict, *self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for `json.dumps`."""
        values = asdict(self)
        for finding in values["findings"]:
            finding |= {name: str(finding[name]) for name in ("strength", "claim")}
        return values | {"conflict": self.conflict}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `to_dict` wrote, also after a trip through JSON."""
        return cls(
            format=str(values["format"]),
            findings=tuple(Finding.from_dict(finding) for finding in values["findings"]),
            problems=tuple(_text(problem) for problem in values["problems"]),
        )

    def _strongest(self, claim: Claim) -> Finding:
        return next(finding for finding in self.findings if finding.claim == claim)


def _origin(finding: Finding) -> dict[str, str]:
    """Where a claim stands, and how far it can be trusted."""
    return {"source": Sentence(finding.source), "strength": Sentence(finding.strength)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def strongest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Signed, then declared, then hints; among equals what says "generated" first, otherwise in the order given."""
    strengths = list(Strength)
    return tuple(sorted(findings, key=lambda found: (strengths.index(found.strength), found.claim not in _GENERATED)))
