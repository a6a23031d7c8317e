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
}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
LONGEST_VALUE = 100_000


class XmpError(ValueError):
    """The packet is no XML, or XML that facecheck does not read."""


def properties(packet: bytes) -> dict[str, str]:
    """Properties of the known namespaces, as "prefix:name" -> text; of a list the items, separated by commas.

    Raises:
        XmpError: malformed, or with a document type declaration (which is what entity bombs need).
    """
    collected = _Collected()
    parser = expat.ParserCreate(namespace_separator=" ")
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
    return {name: ", ".join(values)[:LONGEST_VALUE] for name, values in collected.found.items()}


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type, which XMP does not have")


class _Collected:
    """Properties stand as attributes or as children of rdf:Description."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}
        self._lengths: dict[str, int] = {}
        self._path: list[str] = []
        self._property = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == _RDF + "Description" and not self._property:
            for attribute, value in attributes.items():
                self._add(_short(attribute), value)
        elif self._path and self._path[-1] == _RDF + "Description" and not self._property:
            self._property = _short(name)
            self._add(self._property, attributes.get(_RDF + "resource", ""))
        self._path.append(name)

    def end(self, name: str) -> None:
        self._path.pop()
        if self._property and self._path and self._path[-1] == _RDF + "Description" and _short(name) == self._property:
            self._property = ""

    def text(self, text: str) -> None:
        if self._property and text.strip():
            self._add(self._property, text.strip())

    def _add(self, name: str, value: str) -> None:
        if name and value and self._lengths.get(name, 0) < LONGEST_VALUE:
            self.found.setdefault(name, []).append(value)
            self._lengths[name] = self._lengths.get(name, 0) + len(value)


def _short(name: str) -> str:
    """The prefixed name; empty for namespaces that do not matter here."""
    namespace, _, local = name.rpartition(" ")
    return f"{_PREFIXES[namespace]}:{local}" if namespace in _PREFIXES else ""
