"""What follows the end of a picture: second pictures, gain maps, clips and blocks of phones, by their structure.

Sources: CIPA DC-007 (MPO), "Ultra HDR Image Format" and "Motion Photo format" of Android, ISO 21496-1, and how
ExifTool reads Samsung's blocks. None of it says that a picture was generated, but for Samsung's editor.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from facecheck.provenance import Claim, Finding, Sentence, Strength, joined
from facecheck.provenance.containers import APP1, JPEG_START, Contents, jpeg_segments

_GAIN_MAP, _DEPTH = (b"hdr-gain-map", b"hdrgainmap", b"urn:iso:std:iso:ts:21496"), (b"depthmap", b"disparity", b"dmap:")
_SAMSUNG, _SAMSUNG_DIRECTORY = b"SEFT", b"SEFH"
_SAMSUNG_GENERATED = re.compile(rb'"?genAIType\\*"?\s*:\s*"?(-?\d+)')
_PADDING = re.compile(rb"\x00+|(?:\xff(?!\xd8))+")
MOST_PIECES, MOST_SEARCHED = 16, 1 << 20
_WORDS = {
    "gain map": "a gain map, from which bright screens show more light (Ultra HDR)",
    "depth map": "a depth map, as phones take it for portraits",
    "picture": "a second picture, as cameras and phones store it for previews, depth or other views (MPO)",
    "clip": "a short clip, which makes it a motion photo",
    "Samsung": "blocks of a Samsung phone",
    "padding": "empty bytes",
}


@dataclass(frozen=True)
class Piece:
    """A part of what follows: what it is (a key of `_WORDS`, or "unknown"), and where."""

    kind: str
    start: int
    end: int


def of_trailer(contents: Contents, end: int) -> Iterator[Finding]:
    """What is known of the bytes after the picture's `end` is named; the rest is an oddity."""
    found = list(_pieces(contents, end))
    unknown = sum(piece.end - piece.start for piece in found if piece.kind == "unknown")
    if known := list(dict.fromkeys(piece.kind for piece in found if piece.kind != "unknown")):
        what = joined((Sentence(_WORDS[kind]) for kind in known), "{first} and {second}")
        said = Sentence("The picture is followed by {what}. Only the picture was judged.", what=what)
        yield Finding("file", Strength.HINT, said, details={"appended": ", ".join(known)})
    if unknown:
        said = Sentence(
            "{count} bytes follow the end of the picture. They say nothing about it and were not read.", count=unknown
        )
        yield Finding("file", Strength.HINT, said, details={"appended_bytes": str(unknown)})
    if any(piece.kind == "Samsung" for piece in found):
        yield from _of_samsung(contents.data, end)


def _pieces(contents: Contents, at: int) -> Iterator[Piece]:
    data, size = contents.data, len(contents.data)
    stop = _samsung_start(data, at)
    for _ in range(MOST_PIECES):
        if at >= stop:
            break
        kind, end = _piece(contents, at, stop)
        yield Piece(kind, at, end)
        at = end
    if at < stop:
        yield Piece("unknown", at, stop)
    if stop < size:
        yield Piece("Samsung", stop, size)


def _piece(contents: Contents, at: int, stop: int) -> tuple[str, int]:
    """What begins at a place, and where it ends."""
    data = contents.data
    if data.startswith(JPEG_START, at):
        return _second_picture(contents, at, stop)
    if data[at + 4 : at + 8] == b"ftyp":
        return "clip", stop
    if filled := _PADDING.match(data, at, stop):
        return "padding", filled.end()
    return "unknown", _next_known(data, at, stop)


def _second_picture(contents: Contents, at: int, stop: int) -> tuple[str, int]:
    """A JPEG of its own, and what its metadata name it."""
    inner = Contents("JPEG", contents.data, parts=contents.parts, started=contents.started)
    kind = "picture"
    for marker, start, end in jpeg_segments(inner, at):
        if marker in (APP1, 0xE2):
            body = contents.data[start : min(end, start + (1 << 16))].lower()
            kind = "gain map" if any(word in body for word in _GAIN_MAP) else kind
            kind = "depth map" if kind == "picture" and any(word in body for word in _DEPTH) else kind
    contents.parts = inner.parts
    return (kind, inner.end) if inner.end is not None and inner.end <= stop else ("unknown", stop)


def _next_known(data: bytes, at: int, stop: int) -> int:
    """Where the next picture or clip begins; unknown bytes may stand before it."""
    picture, *clips = (data.find(start, at + 1, stop) for start in (JPEG_START, b"ftypmp4", b"ftypisom"))
    return min((place for place in (picture, *(clip - 4 for clip in clips)) if place > at), default=stop)


def _samsung_start(data: bytes, at: int) -> int:
    """Where Samsung's blocks begin: a directory at the end of the file names how far back each lies."""
    size = len(data)
    if not data.endswith(_SAMSUNG) or size < at + 8:
        return size
    directory = size - 8 - int.from_bytes(data[size - 8 : size - 4], "little")
    if directory < at or data[directory : directory + 4] != _SAMSUNG_DIRECTORY:
        return size
    count = min(int.from_bytes(data[directory + 8 : directory + 12], "little"), 1000)
    entries = (directory + 12 + 12 * index for index in range(count) if directory + 24 + 12 * index <= size)
    starts = (directory - int.from_bytes(data[entry + 4 : entry + 8], "little") for entry in entries)
    return min((start for start in starts if start >= at), default=directory)


def _of_samsung(data: bytes, at: int) -> Iterator[Finding]:
    """Galaxy AI leaves a number other than zero in the editor's block when a generative tool took part."""
    place = data.find(b"PhotoEditor_Re_Edit_Data", at)
    found = _SAMSUNG_GENERATED.search(data, place, min(place + MOST_SEARCHED, len(data))) if place >= 0 else None
    if found and int(found[1]) != 0:
        said = Sentence("Samsung's photo editor recorded that one of its generative tools took part in the picture.")
        yield Finding("file", Strength.HINT, said, Claim.PARTLY_GENERATED, {"samsung_gen_ai_type": found[1].decode()})
