"""EXIF blocks, which are TIFF directories as TIFF files are, and XMP packets (ISO 16684-1), each read within bounds.

Of XMP the properties that speak of a picture's origin; a DTD is refused, so nothing expands.
"""

import struct
from xml.parsers import expat

from facecheck.provenance.containers import LARGEST_BLOCK, Contents, Kind, decoded

TIFF_STARTS = (b"II*\x00", b"MM\x00*")
DESCRIPTION, MAKE, MODEL, SOFTWARE, ARTIST = 0x010E, 0x010F, 0x0110, 0x0131, 0x013B
USER_COMMENT, EXIF_DIRECTORY = 0x9286, 0x8769
XMP, IPTC_RECORDS, C2PA = 700, 33723, 52545
_WANTED = (DESCRIPTION, MAKE, MODEL, SOFTWARE, ARTIST, USER_COMMENT, EXIF_DIRECTORY, XMP, IPTC_RECORDS, C2PA)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_ENTRIES = 1000
_PREFIXES = {
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://www.tc260.org.cn/ns/AIGC/1.0/": "TC260",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "hdrgm",
    "http://ns.google.com/photos/1.0/camera/": "GCamera",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://www.w3.org/XML/1998/namespace": "xml",
}
_RDF_DESCRIPTION = "rdf:Description"
LONGEST_VALUE = 100_000
MOST_ELEMENTS, MOST_DEPTH = 20_000, 64
Tags = dict[int, bytes]


def read_tiff(contents: Contents) -> None:
    """TIFF 6.0: the tags of its first picture; those that hold XMP, IPTC and credentials become blocks."""
    tags = read_tags(contents.data)
    if tags is None:
        return contents.truncated("directory")
    if XMP in tags:
        contents.add_joined(Kind.XMP, tags[XMP])
    if C2PA in tags:
        contents.add_credentials(len(tags[C2PA]))
    if IPTC_RECORDS in tags:
        contents.add_joined(Kind.IPTC, tags[IPTC_RECORDS])
    contents.add_joined(Kind.EXIF, _head(tags))
    return None


def read_tags(data: bytes) -> Tags | None:
    """The wanted tags of the first directory and of its EXIF directory; None where there is no such directory."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return None
    first = _directory(data, struct.unpack_from(order + "I", data, 4)[0], order)
    if first is None:
        return None
    pointer = first.pop(EXIF_DIRECTORY, b"")
    if len(pointer) == 4:
        first |= _directory(data, struct.unpack(order + "I", pointer)[0], order) or {}
    first.pop(EXIF_DIRECTORY, None)
    return first


def _directory(data: bytes, at: int, order: str) -> Tags | None:
    """Entries of tag, type, count, and value or offset, twelve bytes each (TIFF 6.0, section 2)."""
    if at + 2 > len(data):
        return None
    tags: Tags = {}
    room = len(data)  # Entries may point at the same bytes again and again.
    for index in range(min(struct.unpack_from(order + "H", data, at)[0], _MOST_ENTRIES)):
        entry = at + 2 + index * 12
        if entry + 12 > len(data):
            break
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        size = _SIZES.get(kind, 0) * count
        start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
        is_wanted = tag in _WANTED and tag not in tags and 0 < size <= min(LARGEST_BLOCK, room)
        if is_wanted and start + size <= len(data):
            tags[tag] = data[start : start + size]
            room -= size
    return tags


def text(value: bytes) -> str:
    """The text of an ASCII tag, which many programs fill with UTF-8."""
    return decoded(value.rstrip(b"\x00"))


def user_comment(value: bytes) -> str:
    """The text of a UserComment: eight bytes that name the coding, then the text (EXIF 2.32, 4.6.5)."""
    coding, body = value[:8], value[8:]
    if coding == b"UNICODE\x00":
        # The standard leaves the byte order open. Letters of most prompts have a zero byte: on which side?
        big = body[0::2].count(0) >= body[1::2].count(0)
        return decoded(body.decode("utf-16-be" if big else "utf-16-le", "replace").encode())
    return text(body if coding in (b"ASCII\x00\x00\x00", bytes(8)) else value)


def _head(tags: Tags) -> bytes:
    """The text tags of a TIFF as a small EXIF block, so that its pixels are not carried along."""
    kept = {tag: value for tag, value in sorted(tags.items()) if tag not in (XMP, IPTC_RECORDS, C2PA)}
    start = 8 + 2 + 12 * len(kept)
    directory, values = struct.pack("<H", len(kept)), b""
    for tag, value in kept.items():
        padded = value.ljust(5, b"\x00")
        directory += struct.pack("<HHII", tag, 7, len(padded), start + len(values))
        values += padded
    return b"II*\x00" + struct.pack("<I", 8) + directory + values


class XmpError(ValueError):
    """The packet is no XML, or XML that facecheck does not read.

    Attributes:
        problem, values: as for `Contents.note`. found: the properties before a limit was met.
    """

    def __init__(self, problem: str, found: dict[str, str] | None = None, **values: object) -> None:
        super().__init__(problem, values)
        self.problem, self.found, self.values = problem, found or {}, values


class _LimitError(Exception):
    """There are more elements, or more within each other, than are read."""


def properties(packet: bytes) -> dict[str, str]:
    """Properties of the known namespaces, as "prefix:name" -> text; of a list the items, separated by commas.

    Raises:
        XmpError: malformed, with a document type declaration (which is what entity bombs need), or with more than
            `MOST_ELEMENTS` elements and attributes or `MOST_DEPTH` elements in each other; then with what was found.
    """
    collected = _Collected()
    # Namespaces are resolved here: expat would write out a long one anew for every name.
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = collected.start
    parser.EndElementHandler = collected.end
    parser.CharacterDataHandler = collected.text
    parser.buffer_text, parser.buffer_size = True, LARGEST_BLOCK  # One piece for each text.
    try:
        # Packets are padded with spaces, and with zeros by some programs.
        parser.Parse(packet.strip(b"\x00 \r\n\t"), True)
    except (expat.ExpatError, ValueError) as error:
        raise XmpError("The XMP packet cannot be read ({error}).", error=str(error)) from error
    except _LimitError:
        problem = "The XMP packet has more than {most} elements, or {depth} in each other."
        raise XmpError(problem, collected.joined(), most=MOST_ELEMENTS, depth=MOST_DEPTH) from None
    return collected.joined()


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type, which XMP does not have")


class _Collected:
    """Properties stand as attributes or as children of rdf:Description."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}
        self._lengths: dict[str, int] = {}
        self._path: list[str] = []
        self._property = ""
        self._elements = 0
        self._prefixes: dict[str, str] = {"xml": "xml"}
        self._outer: list[dict[str, str]] = []
        """Of each open element, what the prefixes that it declares meant outside."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1 + len(attributes)
        if self._elements > MOST_ELEMENTS or len(self._path) >= MOST_DEPTH:
            raise _LimitError
        self._declare(attributes)
        name = self._short(tag)
        inside = self._path[-1:] == [_RDF_DESCRIPTION]
        if name == _RDF_DESCRIPTION and not self._property:
            for attribute, value in attributes.items():
                self._add(self._short(attribute), value)
        elif inside and not self._property:
            self._property = name
            resource = (value for attribute, value in attributes.items() if self._short(attribute) == "rdf:resource")
            self._add(name, next(resource, ""))
        self._path.append(name)

    def end(self, _: str) -> None:
        name = self._path.pop()
        self._prefixes |= self._outer.pop()
        if self._property and self._path[-1:] == [_RDF_DESCRIPTION] and name == self._property:
            self._property = ""

    def text(self, text: str) -> None:
        if self._property and text.strip():
            self._add(self._property, text.strip())

    def joined(self) -> dict[str, str]:
        return {name: ", ".join(values)[:LONGEST_VALUE] for name, values in self.found.items()}

    def _declare(self, attributes: dict[str, str]) -> None:
        outer = {}
        for attribute, value in attributes.items():
            if attribute == "xmlns" or attribute.startswith("xmlns:"):
                prefix = attribute[6:]
                outer[prefix] = self._prefixes.get(prefix, "")
                self._prefixes[prefix] = _PREFIXES.get(value, "")
        self._outer.append(outer)

    def _short(self, name: str) -> str:
        """The name with the prefix that is usual for its namespace; empty for namespaces that do not matter here."""
        prefix, _, local = name.rpartition(":")
        short = self._prefixes.get(prefix, "")
        return f"{short}:{local}" if short else ""

    def _add(self, name: str, value: str) -> None:
        if name and value and self._lengths.get(name, 0) < LONGEST_VALUE:
            self.found.setdefault(name, []).append(value)
            self._lengths[name] = self._lengths.get(name, 0) + len(value)
