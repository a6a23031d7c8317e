"""C2PA Content Credentials, read and validated by c2pa-python (extra `provenance`); the container says where.

What the manifests say of a picture is in all actions, assertions and ingredients of the chain, and the strongest of it
counts: a camera captures, then an editor generates, and both stand in the same list. The shape is that of c2pa-python's
report (C2PA Specification 2.2, "Actions" and "Ingredients").
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from facecheck.provenance import Claim, Finding, Strength
from facecheck.provenance.declarations import declared_by, source_type

Manifest = Mapping[str, Any]
_CREATES = ("c2pa.created", "c2pa.opened", "c2pa.converted", "c2pa.published", "c2pa.transcoded", "c2pa.repackaged")
"""Actions whose source type is that of the whole picture; those of all others are that of what they add."""
_INFERS = ("ai_inference", "ai_generat", "generative")
_RIGHTS = ("c2pa.training-mining", "cawg.training-mining")
"""What others may do with the picture: it says nothing of how it was made."""
_SOURCE_TYPE = "digitalsourcetype"
_RANKS = (Claim.GENERATED, Claim.PARTLY_GENERATED, Claim.EDITED, Claim.PHOTOGRAPHED, Claim.NOTHING)
MOST_MANIFESTS, MOST_STATEMENTS, MOST_DEPTH = 100, 1000, 8
MIME_TYPES = {
    "PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "TIFF": "image/tiff",
    "AVIF": "image/avif", "HEIF": "image/heif", "JXL": "image/jxl",
}  # fmt: skip
NOT_INSTALLED = (
    "The file has C2PA Content Credentials. They were not checked: "
    "`pip install 'facecheck[provenance]'` makes that possible."
)
PROVES_NOTHING = "They prove nothing, neither for nor against the picture."
# No word leaves this machine: neither for manifests that lie elsewhere nor for the state of certificates.
_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}
_LONGEST = 300
# Status codes of the C2PA Specification 2.2, "Validation"; the first that fits is told.
_FAILURES = (
    (
        ("assertion.dataHash.mismatch", "assertion.bmffHash.mismatch", "assertion.boxesHash.mismatch"),
        "The file has C2PA Content Credentials that do not hold: the picture was changed after signing, or they were "
        "copied from another file.",
    ),
    (
        ("claimSignature.mismatch", "assertion.hashedURI.mismatch", "assertion.collectionHash.mismatch", "ingredient."),
        "The file has C2PA Content Credentials that do not hold: they themselves were changed after signing.",
    ),
    (
        ("missing", "claim.multiple", "malformed", "claim.hardBindings", "inaccessible"),
        "The file has C2PA Content Credentials that do not hold: parts of them are missing or damaged.",
    ),
    (
        ("revoked",),
        "The file has C2PA Content Credentials whose signature cannot be relied on: the authority revoked the "
        "signer's certificate.",
    ),
    (
        ("signingCredential.invalid",),
        "The file has C2PA Content Credentials that do not hold: the signer's certificate is not one for signing.",
    ),
)
_EXPIRED = ("signingCredential.expired", "claimSignature.outsideValidity")
_ABOUT_TRUST = (*_EXPIRED, "signingCredential.untrusted", "timeStamp.")


@dataclass(frozen=True)
class Said:
    """One statement of a manifest.

    Attributes:
        claim, words: what it says, as "captured by a camera".
        source_type: the term of IPTC's vocabulary; empty without one.
        action: "c2pa.created" and so on; empty where an assertion or an ingredient says it.
        agent: the software that did it.
        part: the title of the ingredient that it speaks of; empty for the whole picture.
    """

    claim: Claim
    words: str
    source_type: str = ""
    action: str = ""
    agent: str = ""
    part: str = ""


def statements_of(store: Manifest) -> tuple[Said, ...]:
    """The statements of a manifest and of the chain of its ingredients, oldest first, each once.

    Args:
        store: the report of c2pa-python: "active_manifest" and "manifests".
    """
    found = _chain(store, str(store["active_manifest"]), set())
    return tuple(dict.fromkeys(said for said, _ in zip(found, range(MOST_STATEMENTS), strict=False)))


def strongest(statements: Sequence[Said]) -> Said | None:
    """The one that decides: generated, then generated in part, then edited, then photographed; None without any."""
    return min(statements, key=lambda said: _RANKS.index(said.claim), default=None)


def actions(manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    """All actions of a manifest, in order."""
    for assertion in _dicts(manifest.get("assertions")):
        data = assertion.get("data")
        if str(assertion.get("label", "")).startswith("c2pa.actions") and isinstance(data, dict):
            yield from _dicts(data.get("actions"))


def agent_of(value: Any) -> str:
    """Version 1 of the specification has a name here, version 2 a dictionary."""
    return str(value.get("name", "") if isinstance(value, dict) else value or "")


def _chain(store: Manifest, label: str, seen: set[str]) -> Iterator[Said]:
    manifest = store["manifests"].get(label)
    if not isinstance(manifest, dict) or label in seen or len(seen) >= MOST_MANIFESTS:
        return
    seen.add(label)
    for ingredient in _dicts(manifest.get("ingredients")):
        relation, title = str(ingredient.get("relationship", "")), str(ingredient.get("title", "") or "a part")
        if relation == "inputTo":
            continue  # What a model was given to look at does not become a part of the picture.
        for said in (*_chain(store, str(ingredient.get("active_manifest")), seen), *_deep(ingredient)):
            yield from [said] if relation == "parentOf" else _as_part(said, title)
    for action in actions(manifest):
        yield from _of_action(action)
    for assertion in _dicts(manifest.get("assertions")):
        if not str(assertion.get("label", "")).startswith(("c2pa.actions", *_RIGHTS)):
            yield from _deep(assertion.get("data"))


def _of_action(action: Mapping[str, Any]) -> Iterator[Said]:
    name, agent = str(action.get("action", "")), agent_of(action.get("softwareAgent"))
    found = list(_deep(action))
    is_infering = any(word in name for word in _INFERS) or any(word in _kind(action) for word in _INFERS)
    generator = declared_by(agent) if agent else None
    if is_infering and not found:
        found = [Said(Claim.PARTLY_GENERATED, "changed by a generative model")]
    elif generator is not None and generator.claim == Claim.GENERATED and not found:
        found = [Said(Claim.GENERATED, f"made with {agent}, a generator or its maker")]
    for said in found:
        is_added = name not in _CREATES and said.claim == Claim.GENERATED
        words = f"changed with parts that were {said.words}" if is_added else said.words
        claim = Claim.PARTLY_GENERATED if is_added else said.claim
        yield replace(said, claim=claim, words=words, action=name, agent=agent)


def _kind(action: Mapping[str, Any]) -> str:
    """Adobe's programs name the tool among the parameters, such as "Generative Fill"."""
    parameters = action.get("parameters")
    values = parameters.values() if isinstance(parameters, dict) else ()
    return " ".join(value.lower() for value in values if isinstance(value, str))


def _as_part(said: Said, title: str) -> Iterator[Said]:
    """What an ingredient says of itself, for a picture that it was put into: a captured part makes no capture."""
    if said.claim in (Claim.GENERATED, Claim.PARTLY_GENERATED):
        yield replace(said, claim=Claim.PARTLY_GENERATED, part=said.part or title)


def _deep(value: Any, depth: int = 0) -> Iterator[Said]:
    """The digital source types anywhere within: vendors have them among parameters, changes and metadata."""
    if depth > MOST_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).lower().endswith(_SOURCE_TYPE) and isinstance(inner, str):
                name, claim, words = source_type(inner)
                yield Said(claim, words, name)
            elif key != "ingredients":
                yield from _deep(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _deep(inner, depth + 1)


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def read_credentials(data: bytes, container: str, trust_anchors: str | None = None) -> Finding:
    """Validate the credentials of a file that has some.

    Args:
        data: the whole file. container: its format, as `Provenance.format`.
        trust_anchors: certificates of the authorities that are trusted, PEM. None: no signer is known.
    """
    try:
        import c2pa
    except ImportError:
        return Finding("c2pa", Strength.HINT, NOT_INSTALLED, details={"state": "not checked"})
    settings: dict[str, Any] = {"verify": _OFFLINE}
    if trust_anchors:
        settings["trust"] = {"trust_anchors": trust_anchors}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(MIME_TYPES.get(container), io.BytesIO(data), context=context) as reader,
        ):
            state, results = str(reader.get_validation_state()), reader.get_validation_results() or {}
            store = json.loads(reader.json())
        failures = tuple(_failures(results))
        details = {"state": state.lower()} | _details(store["manifests"][store["active_manifest"]])
        if state in ("Valid", "Trusted"):
            return _intact(details, statements_of(store), _trust(state == "Trusted", bool(trust_anchors)))
        details["problem"] = ", ".join(failures)[:_LONGEST]
        if any(code in failures for code in _EXPIRED) and all(code.startswith(_ABOUT_TRUST) for code in failures):
            return _expired(details, statements_of(store))
        return _broken(details, failures)
    except Exception as error:  # The binding raises many kinds, and the shape of what it reads is up to strangers.
        said = "The file has C2PA Content Credentials that are damaged: they prove nothing."
        return Finding("c2pa", Strength.HINT, said, details={"state": "unreadable", "problem": str(error)[:_LONGEST]})


def _broken(details: dict[str, str], failures: Sequence[str]) -> Finding:
    """Why they do not hold: in words for the most telling failure, and all codes among the details."""
    for codes, said in _FAILURES:
        if any(part in code for code in failures for part in codes):
            return Finding("c2pa", Strength.HINT, f"{said} {PROVES_NOTHING}", details=details)
    said = f"The file has C2PA Content Credentials that do not hold ({', '.join(failures)[:_LONGEST]})."
    return Finding("c2pa", Strength.HINT, f"{said} {PROVES_NOTHING}", details=details)


def _intact(details: dict[str, str], statements: Sequence[Said], trust: str) -> Finding:
    said = f"The file carries C2PA Content Credentials, {_signed(details)}, intact{_say(statements, details)}. {trust}"
    return _finding(Strength.SIGNED, said, details, statements)


def _expired(details: dict[str, str], statements: Sequence[Said]) -> Finding:
    """Nothing was changed, but who signed cannot be shown any more: as good as any declaration."""
    said = (
        f"The file carries C2PA Content Credentials, {_signed(details)}, unchanged since{_say(statements, details)}. "
        "The signer's certificate has expired, and no time stamp proves that it was valid when they signed."
    )
    return _finding(Strength.DECLARED, said, details, statements)


def _trust(is_trusted: bool, has_anchors: bool) -> str:
    if is_trusted:
        return "The signer is on the list of authorities that was given."
    not_known = "Whether the signer is who the certificate says is not known: anybody can make one."
    return f"The signer is not on the list of authorities that was given. {not_known}" if has_anchors else not_known


def _signed(details: Mapping[str, str]) -> str:
    """Who signed, when, and with what."""
    when = f" on {details['signed_at'][:10]}" if "signed_at" in details else ""
    tool = f" with {details['software']}" if "software" in details else ""
    return f"signed by {details.get('signer', 'somebody')}{when}{tool}"


def _say(statements: Sequence[Said], details: Mapping[str, str]) -> str:
    """What they say of the picture, oldest first, and what is not there any more."""
    told = [_told(said) for said in statements if said.claim != Claim.NOTHING]
    words = ", then ".join(dict.fromkeys(told))[: 2 * _LONGEST]
    said = f"; they say that the picture was {words}" if words else ""
    return f"{said}; parts of them were taken out (redacted)" if "redacted" in details else said


def _told(said: Said) -> str:
    if said.part:
        return f"put together with {said.part[:80]!r}, which was {said.words}"
    return f"{said.words} ({said.agent[:80]})" if said.agent and said.agent not in said.words else said.words


def _finding(strength: Strength, said: str, details: dict[str, str], statements: Sequence[Said]) -> Finding:
    most = strongest(statements)
    if most is None:
        return Finding("c2pa", strength, said, details=details)
    more = {"digital_source_type": most.source_type, "generated_part": most.part}
    return Finding("c2pa", strength, said, most.claim, details | {key: value for key, value in more.items() if value})


def _details(manifest: Mapping[str, Any]) -> dict[str, str]:
    signature = manifest.get("signature_info") or {}
    agents = [agent_of(action.get("softwareAgent")) for action in actions(manifest)]
    programs = [agent_of(info) for info in manifest.get("claim_generator_info") or []]
    names = [str(action.get("action")) for action in actions(manifest)]
    redacted = [str(uri) for uri in manifest.get("redactions") or []] + [name for name in names if "redacted" in name]
    details = {
        "signer": signature.get("issuer") or signature.get("common_name"),
        "signed_at": signature.get("time"),
        "software": ", ".join(dict.fromkeys(name for name in (*agents, *programs) if name)),
        "actions": ", ".join(names),
        "redacted": ", ".join(redacted),
    }
    return {name: str(value)[:_LONGEST] for name, value in details.items() if value}


def _failures(results: Mapping[str, Any]) -> Iterator[str]:
    for item in results.get("activeManifest", {}).get("failure", []):
        yield str(item.get("code"))
