"""What a file says about its own origin: containers -> metadata blocks -> typed findings. No part of the pixel score.

Here: the typed answer, findings with their sources and strengths. The public function is `facecheck.provenance`; it
stands in `facecheck.provenance.reader`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

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


_IS = {
    Claim.GENERATED: "was generated", Claim.PARTLY_GENERATED: "was generated in part",
    Claim.PHOTOGRAPHED: "is a photograph",
}  # fmt: skip
_GENERATED = (Claim.GENERATED, Claim.PARTLY_GENERATED)


@dataclass(frozen=True)
class Finding:
    """One thing that the file says.

    Attributes:
        source: where it was found: "c2pa", "iptc", "xmp", "exif", "text", "comment" or "file".
        says: the sentence that people read.
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
            says=str(values["says"]),
            claim=Claim(values["claim"]),
            details={str(name): str(value) for name, value in values["details"].items()},
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
        photographed, generated = (self._source_of(claim) for claim in (Claim.PHOTOGRAPHED, Claim.GENERATED))
        return f"The file contradicts itself. B{photographed[1:]} it is a photograph, {generated} it was generated."

    def contradiction(self, verdict: str | None) -> str | None:
        """A sentence where the file and the verdict on the pixels disagree; the verdict stays what it is."""
        generated = next((claim for claim in _GENERATED if claim in self.claims), None)
        photographed = Claim.PHOTOGRAPHED if Claim.PHOTOGRAPHED in self.claims else None
        opposite, same = (generated, photographed) if verdict == "real" else (photographed, generated)
        if verdict not in ("real", "fake") or opposite is None:
            return None
        pixels = "show no sign of generation" if verdict == "real" else "look generated"
        says = f"{self._source_of(opposite)} the picture {_IS[opposite]}"
        if same is not None:
            says = f"the file says both: {self._source_of(same)} the picture {_IS[same]}, {says}"
        return f"The pixels {pixels}, but {says}. Both stand as they are: neither was changed because of the other."

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
            finding |= {"strength": str(finding["strength"]), "claim": str(finding["claim"])}
        return values | {"conflict": self.conflict}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `to_dict` wrote, also after a trip through JSON."""
        return cls(
            format=str(values["format"]),
            findings=tuple(Finding.from_dict(finding) for finding in values["findings"]),
            problems=tuple(str(problem) for problem in values["problems"]),
        )

    def _source_of(self, claim: Claim) -> str:
        """Where a claim stands, at its strongest."""
        finding = next(finding for finding in self.findings if finding.claim == claim)
        return f"by its {finding.source} data ({finding.strength})"


def strongest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Signed, then declared, then hints; among equals what says "generated" first, otherwise in the order given."""
    strengths = list(Strength)
    return tuple(sorted(findings, key=lambda found: (strengths.index(found.strength), found.claim not in _GENERATED)))
