"""C2PA Content Credentials, read and validated by c2pa-python (extra `provenance`); the container says where."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from facecheck.provenance.findings import Claim, Finding, Strength
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
