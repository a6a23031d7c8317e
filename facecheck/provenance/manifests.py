"""What C2PA manifests say of a picture: in all actions, assertions and ingredients of the chain; the strongest counts.

A camera captures, then an editor generates, and both stand in the same list. The shape is that of c2pa-python's report
(C2PA Specification 2.2, "Actions" and "Ingredients").
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from facecheck.provenance import Claim, Sentence
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
        found = [Said(Claim.PARTLY_GENERATED, Sentence("changed by a generative model"))]
    elif generator is not None and generator.claim == Claim.GENERATED and not found:
        found = [Said(Claim.GENERATED, Sentence("made with {agent}, a generator or its maker", agent=agent))]
    for said in found:
        is_added = name not in _CREATES and said.claim == Claim.GENERATED
        words = Sentence("changed with parts that were {words}", words=said.words) if is_added else said.words
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
