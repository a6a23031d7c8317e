"""XMP packets (ISO 16684-1): the properties that speak of a picture's origin. A DTD is refused, so nothing expands."""

from xml.parsers import expat

from facecheck.provenance.containers import LARGEST_BLOCK

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
_DESCRIPTION = "rdf:Description"
LONGEST_VALUE = 100_000
MOST_ELEMENTS, MOST_DEPTH = 20_000, 64


class XmpError(ValueError):
    """The packet is no XML, or XML that facecheck does not read. `found`: the properties before a limit was met."""

    def __init__(self, problem: str, found: dict[str, str] | None = None) -> None:
        super().__init__(problem)
        self.found = found or {}


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
        raise XmpError(f"The XMP packet cannot be read ({error}).") from error
    except _LimitError:
        problem = f"The XMP packet has more than {MOST_ELEMENTS} elements, or {MOST_DEPTH} in each other."
        raise XmpError(problem, collected.joined()) from None
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
        inside = self._path[-1:] == [_DESCRIPTION]
        if name == _DESCRIPTION and not self._property:
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
        if self._property and self._path[-1:] == [_DESCRIPTION] and name == self._property:
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
