"""C2PA Content Credentials, read and validated by c2pa-python (extra `provenance`); the container says where."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from facecheck.provenance.declarations import SOURCE_TYPES, source_type
from facecheck.provenance.findings import Claim, Finding, Strength

MIME_TYPES = {
    "PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "TIFF": "image/tiff",
    "AVIF": "image/avif", "HEIF": "image/heif",
}  # fmt: skip
NOT_INSTALLED = (
    "The file has C2PA Content Credentials. They were not checked: "
    "`pip install 'facecheck[provenance]'` makes that possible."
)
# No word leaves this machine: neither for manifests that lie elsewhere nor for the state of certificates.
_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}
_LONGEST = 300


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
        manifests = store["manifests"]
        active = manifests.pop(store["active_manifest"])
        details = {"state": state.lower()} | _details(active)
        if state not in ("Valid", "Trusted"):
            return _broken(details | {"problem": ", ".join(_failures(results))[:_LONGEST]})
        return _signed(details, state == "Trusted", _source_type(active, manifests))
    except Exception as error:  # The binding raises many kinds, and the shape of what it reads is up to strangers.
        said = "The file has C2PA Content Credentials that are damaged: they prove nothing."
        return Finding("c2pa", Strength.HINT, said, details={"state": "unreadable", "problem": str(error)[:_LONGEST]})


def _broken(details: dict[str, str]) -> Finding:
    said = (
        "The file has C2PA Content Credentials that do not hold: it was changed after signing, or they were copied "
        "from another file. They prove nothing, neither for nor against the picture."
    )
    return Finding("c2pa", Strength.HINT, said, details=details)


def _signed(details: dict[str, str], trusted: bool, declared: tuple[str, Claim, str] | None) -> Finding:
    name, claim, words = declared or ("", Claim.NOTHING, "")
    what = f"; they say that the picture was {words}" if words else ""
    who = (
        "The signer is on the list of authorities that was given."
        if trusted
        else "Whether the signer is who the certificate says is not known: anybody can make one."
    )
    said = (
        f"The file carries C2PA Content Credentials, signed by {details.get('signer', 'somebody')}, intact{what}. {who}"
    )
    return Finding("c2pa", Strength.SIGNED, said, claim, details | ({"digital_source_type": name} if name else {}))


def _details(manifest: Mapping[str, Any]) -> dict[str, str]:
    signature = manifest.get("signature_info", {})
    agents = [_agent(action.get("softwareAgent")) for action in _actions(manifest)]
    programs = [_agent(info) for info in manifest.get("claim_generator_info", [])]
    details = {
        "signer": signature.get("issuer") or signature.get("common_name"),
        "signed_at": signature.get("time"),
        "software": ", ".join(dict.fromkeys(name for name in (*agents, *programs) if name)),
        "actions": ", ".join(str(action.get("action")) for action in _actions(manifest)),
    }
    return {name: str(value)[:_LONGEST] for name, value in details.items() if value}


def _agent(value: Any) -> str:
    """Version 1 of the specification has a name here, version 2 a dictionary."""
    return str(value.get("name", "") if isinstance(value, dict) else value or "")


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from assertion["data"].get("actions", [])


def _source_type(active: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[str, Claim, str] | None:
    """What the active manifest says; else, that a part was generated, if the manifest of an ingredient says so."""
    for action in _actions(active):
        if uri := action.get("digitalSourceType"):
            return source_type(str(uri))
    parts = [action.get("digitalSourceType", "") for manifest in others.values() for action in _actions(manifest)]
    generated = any(source_type(str(uri))[1] in (Claim.GENERATED, Claim.PARTLY_GENERATED) for uri in parts)
    name = "compositeWithTrainedAlgorithmicMedia"
    return (name, *SOURCE_TYPES[name]) if generated else None


def _failures(results: Mapping[str, Any]) -> Iterator[str]:
    for item in results.get("activeManifest", {}).get("failure", []):
        yield str(item.get("code"))
