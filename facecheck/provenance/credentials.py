"""C2PA Content Credentials, read and validated by c2pa-python (extra `provenance`); the container says where.

Here: whether they hold, who signed, and the sentence on it. What they say of the picture is read in `manifests`.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from facecheck.provenance import Claim, Finding, Sentence, Strength, joined
from facecheck.provenance.manifests import Said, actions, agent_of, statements_of, strongest

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
_LONGEST, _LONGEST_TOLD = 300, 600
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


def read_credentials(data: bytes, container: str, trust_anchors: str | None = None) -> Finding:
    """Validate the credentials of a file that has some.

    Args:
        data: the whole file. container: its format, as `Provenance.format`.
        trust_anchors: certificates of the authorities that are trusted, PEM. None: no signer is known.
    """
    try:
        import c2pa
    except ImportError:
        return Finding("c2pa", Strength.HINT, Sentence(NOT_INSTALLED), details={"state": Sentence("not checked")})
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
        details: dict[str, str] = {"state": Sentence(state.lower())} | _details(
            store["manifests"][store["active_manifest"]]
        )
        if state in ("Valid", "Trusted"):
            return _intact(details, statements_of(store), _trust(state == "Trusted", bool(trust_anchors)))
        details["problem"] = ", ".join(failures)[:_LONGEST]
        if any(code in failures for code in _EXPIRED) and all(code.startswith(_ABOUT_TRUST) for code in failures):
            return _expired(details, statements_of(store))
        return _broken(details, failures)
    except Exception as error:  # The binding raises many kinds, and the shape of what it reads is up to strangers.
        said = Sentence("The file has C2PA Content Credentials that are damaged: they prove nothing.")
        details = {"state": Sentence("unreadable"), "problem": str(error)[:_LONGEST]}
        return Finding("c2pa", Strength.HINT, said, details=details)


def _broken(details: dict[str, str], failures: Sequence[str]) -> Finding:
    """Why they do not hold: in words for the most telling failure, and all codes among the details."""
    for codes, said in _FAILURES:
        if any(part in code for code in failures for part in codes):
            return Finding("c2pa", Strength.HINT, _both(said, PROVES_NOTHING), details=details)
    codes_told = ", ".join(failures)[:_LONGEST]
    told = Sentence("The file has C2PA Content Credentials that do not hold ({codes}).", codes=codes_told)
    return Finding("c2pa", Strength.HINT, _both(told, PROVES_NOTHING), details=details)


def _both(*sentences: str) -> str:
    told = (one if isinstance(one, Sentence) else Sentence(one) for one in sentences)
    return joined(told, "{first} {second}")


def _intact(details: dict[str, str], statements: Sequence[Said], trust: str) -> Finding:
    said = Sentence(
        "The file carries C2PA Content Credentials, {signed}, intact{words}.",
        signed=_signed(details), words=_say(statements, details),
    )  # fmt: skip
    return _finding(Strength.SIGNED, _both(said, trust), details, statements)


def _expired(details: dict[str, str], statements: Sequence[Said]) -> Finding:
    """Nothing was changed, but who signed cannot be shown any more: as good as any declaration."""
    said = Sentence(
        "The file carries C2PA Content Credentials, {signed}, unchanged since{words}. "
        "The signer's certificate has expired, and no time stamp proves that it was valid when they signed.",
        signed=_signed(details), words=_say(statements, details),
    )  # fmt: skip
    return _finding(Strength.DECLARED, said, details, statements)


def _trust(is_trusted: bool, has_anchors: bool) -> str:
    if is_trusted:
        return Sentence("The signer is on the list of authorities that was given.")
    not_known = Sentence("Whether the signer is who the certificate says is not known: anybody can make one.")
    not_listed = Sentence("The signer is not on the list of authorities that was given.")
    return _both(not_listed, not_known) if has_anchors else not_known


def _signed(details: Mapping[str, str]) -> str:
    """Who signed, when, and with what."""
    told = Sentence("signed by {signer}", signer=details.get("signer") or Sentence("somebody"))
    if "signed_at" in details:
        told = Sentence("{signed} on {day}", signed=told, day=details["signed_at"][:10])
    return (
        Sentence("{signed} with {software}", signed=told, software=details["software"])
        if "software" in details
        else told
    )


def _say(statements: Sequence[Said], details: Mapping[str, str]) -> str:
    """What they say of the picture, oldest first, and what is not there any more."""
    told = list(dict.fromkeys(_told(said) for said in statements if said.claim != Claim.NOTHING))
    lengths = accumulate(map(len, told))
    shown = [words for words, length in zip(told, lengths, strict=True) if length < _LONGEST_TOLD]
    said = []
    if shown:
        words = joined(shown, "{first}, then {second}")
        said.append(Sentence("; they say that the picture was {words}", words=words))
    if "redacted" in details:
        said.append(Sentence("; parts of them were taken out (redacted)"))
    return joined(said, "{first}{second}") if said else ""


def _told(said: Said) -> str:
    if said.part:
        return Sentence("put together with {part}, which was {words}", part=repr(said.part[:80]), words=said.words)
    if not said.agent or said.agent in said.words:
        return said.words
    return Sentence("{words} ({agent})", words=said.words, agent=said.agent[:80])


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
