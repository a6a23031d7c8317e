"""`provenance`: a file -> what it says about its own origin. Never raises on content, never touches a verdict."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath

from facecheck import image
from facecheck.decoding import HEIF_BRANDS, JXL_STARTS, kind_of
from facecheck.image import Source
from facecheck.provenance import (
    Claim,
    Finding,
    Provenance,
    Sentence,
    Strength,
    containers,
    declarations,
    exif_xmp,
    formats,
    strongest_first,
)
from facecheck.provenance.containers import MOST_CREDENTIALS, Contents, Kind, decoded
from facecheck.provenance.credentials import read_credentials
from facecheck.provenance.declarations import Field
from facecheck.provenance.generators import COMMENT_KEY, Texts, recognised
from facecheck.provenance.trailers import of_trailer

LONGEST_QUOTE = 300
OUTSIDE = "The picture was given as pixels, not as a file: there is nothing to read."
_GRAPH = re.compile(r"(prompt|workflow):\s*(\{.*)", re.I | re.S)
_TEXT_FIELDS = {
    "Source": Field.CREDIT, "Credit": Field.CREDIT, "Comment": Field.CAPTION, "Description": Field.CAPTION,
    "Title": Field.CAPTION, "Disclaimer": Field.CAPTION, "Warning": Field.CAPTION,
}  # fmt: skip
UNKNOWN = "Files of this kind are not searched for statements on their origin."
_EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png",), "WEBP": (".webp",), "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"), "AVIF": (".avif",), "HEIF": (".heic", ".heif"), "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "JXL": (".jxl",),
}  # fmt: skip
_STARTS: dict[str, bytes | tuple[bytes, ...]] = {
    "PNG": containers.PNG_START, "JPEG": containers.JPEG_START, "GIF": formats.GIF_STARTS, "TIFF": exif_xmp.TIFF_STARTS,
    "JPEG2000": formats.JPEG2000_START, "JXL": JXL_STARTS,
}  # fmt: skip
_READERS: dict[str, Callable[[Contents], None]] = {
    "PNG": containers.read_png, "JPEG": containers.read_jpeg, "WEBP": formats.read_webp, "GIF": formats.read_gif,
    "TIFF": exif_xmp.read_tiff, "AVIF": formats.read_bmff, "HEIF": formats.read_bmff, "JPEG2000": formats.read_bmff,
    "JXL": formats.read_bmff,
}  # fmt: skip


def provenance(source: Source, *, name: str | None = None, trust_anchors: str | None = None) -> Provenance:
    """Read what a file says about its own origin: Content Credentials, IPTC, XMP, EXIF, generators' text, comments.

    Args:
        source: a path, bytes, a binary file object or a `data:` URL. Pixels (arrays, tensors, PIL images) say nothing.
        name: of the file, whose ending may contradict its content; by default its path.
        trust_anchors: certificates (PEM) of the authorities whose C2PA signers are to be trusted, such as the C2PA
            trust list. Without it the answer says of every signer that nobody vouches for them.

    Returns:
        The findings. A file that is damaged, or no picture at all, gives what could be read and says what could not.

    Raises:
        ImageError: the file does not exist, is too large or cannot be read.
    """
    data = image.encoded(source, name=name)
    if data is None:
        return Provenance(problems=(Sentence(OUTSIDE),))
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
    return read(data, name or path, trust_anchors)


def read(data: bytes, name: str = "", trust_anchors: str | None = None) -> Provenance:
    """As `provenance`, for the bytes of a file whose name, where it is known, may contradict its content."""
    try:
        contents = opened(data)
        if contents is None:
            return Provenance(problems=(Sentence(UNKNOWN),))
        found = [*_of_blocks(contents, trust_anchors), *_of_file(contents, name)]
        findings = strongest_first(dict.fromkeys(found)) if found else ()
        return Provenance(contents.format, findings, tuple(contents.problems))
    except Exception as error:  # A reader that a crafted file trips up must not cost the verdict on its pixels.
        return Provenance(problems=(Sentence("The metadata could not be read ({error}).", error=type(error).__name__),))


def opened(data: bytes) -> Contents | None:
    """The metadata blocks of a file, by the structure of its container; None where that is not known."""
    kind = _format(data)
    if not kind:
        return None
    contents = Contents(kind, data)
    _READERS[kind](contents)
    return contents


def _format(data: bytes) -> str:
    """By the first bytes, as the formats define them; a name proves nothing."""
    for kind, starts in _STARTS.items():
        if data.startswith(starts):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", *HEIF_BRANDS):
        return "HEIF" if kind_of(data) else "AVIF"
    return ""


def _of_blocks(contents: Contents, trust_anchors: str | None) -> Iterator[Finding]:
    texts: dict[str, str] = {}
    for block in contents.blocks:
        if not contents.in_time():
            break
        if block.kind == Kind.C2PA and contents.credentials > MOST_CREDENTIALS:
            said = "The Content Credentials have {size} bytes; they were not checked."
            contents.note(said, size=contents.credentials)
        elif block.kind == Kind.C2PA:
            yield read_credentials(contents.data, contents.format, trust_anchors)
        elif block.kind == Kind.TEXT:
            texts.setdefault(block.key, decoded(block.data))
        elif block.kind == Kind.COMMENT:
            yield from _of_comment(decoded(block.data))
        elif block.kind == Kind.IPTC:
            yield from declarations.of_iptc(block.data)
        elif block.kind == Kind.EXIF:
            yield from _of_exif(block.data, contents)
        elif block.kind == Kind.XMP:
            yield from _of_xmp(block.data, contents)
    if texts:
        yield from _of_texts(texts)


def _of_texts(texts: Texts) -> Iterator[Finding]:
    yield from declarations.of_aigc("text", texts.get("AIGC", ""))
    if finding := recognised(texts, "text"):
        yield finding
        return
    yield from declarations.of_software("text", texts.get("Software", ""))
    for name, field in _TEXT_FIELDS.items():
        yield from declarations.of_words("text", texts.get(name, ""), field)
    if job := texts.get("hf-job-id"):
        said = Sentence(
            "A job on Hugging Face's machines wrote the file. Most such jobs run generators; this proves nothing."
        )
        yield Finding("text", Strength.HINT, said, details={"job": job[:LONGEST_QUOTE]})


def _of_comment(text: str) -> Iterator[Finding]:
    if finding := recognised({COMMENT_KEY: text}, "comment"):
        yield finding
        return
    declared = [
        *declarations.of_aigc("comment", text), *declarations.of_words("comment", text, Field.CAPTION)
    ]  # fmt: skip
    yield from declared
    if text and not declared:
        quoted = text[:LONGEST_QUOTE]
        said = Sentence("The file has a comment: {text}.", text=repr(quoted))
        yield Finding("comment", Strength.HINT, said, details={"comment": quoted})


def _of_exif(block: bytes, contents: Contents) -> Iterator[Finding]:
    tags = exif_xmp.read_tags(block)
    if tags is None:
        contents.note("The EXIF block is damaged.")
        return
    words = {tag: exif_xmp.text(value) for tag, value in tags.items() if tag != exif_xmp.USER_COMMENT}
    make, model = words.get(exif_xmp.MAKE, ""), words.get(exif_xmp.MODEL, "")
    # ComfyUI's WebP and JPEG writers keep their texts in tags that cameras fill.
    filled = (_GRAPH.match(words.get(tag, "")) for tag in (exif_xmp.DESCRIPTION, exif_xmp.MAKE, exif_xmp.MODEL))
    named = {found[1].lower(): found[2] for found in filled if found}
    texts = {COMMENT_KEY: exif_xmp.user_comment(tags.get(exif_xmp.USER_COMMENT, b"")), **named}
    texts["Description"] = words.get(exif_xmp.DESCRIPTION, "")
    if any(texts.values()) and (finding := recognised(texts, "exif")):
        yield finding
    for text in (texts[COMMENT_KEY], words.get(exif_xmp.DESCRIPTION, "")):
        yield from declarations.of_aigc("exif", text)
        yield from declarations.of_words("exif", text, Field.CAPTION)
    if not named:
        yield from declarations.of_camera("exif", make, model)
    yield from declarations.of_software("exif", words.get(exif_xmp.SOFTWARE, ""))
    if words.get(exif_xmp.DESCRIPTION, "").startswith("Signature: ") and len(words.get(exif_xmp.ARTIST, "")) == 36:
        said = Sentence("The EXIF block is built as that of pictures which Grok (xAI) generates.")
        yield Finding("exif", Strength.HINT, said, Claim.GENERATED)


def _of_xmp(packet: bytes, contents: Contents) -> Iterator[Finding]:
    try:
        found = exif_xmp.properties(packet)
    except exif_xmp.XmpError as error:
        contents.note(error.problem, **error.values)
        found = error.found
    texts = {COMMENT_KEY: found.get("exif:UserComment", ""), "Description": found.get("dc:description", "")}
    if finding := recognised(texts, "xmp"):
        yield finding
    yield from declarations.of_xmp(found)


def _of_file(contents: Contents, name: str) -> Iterator[Finding]:
    if contents.end is not None and contents.end < len(contents.data):
        yield from of_trailer(contents, contents.end)
    extension = PurePath(name).suffix.lower()
    known = {word for words in _EXTENSIONS.values() for word in words}
    if extension in known and extension not in _EXTENSIONS[contents.format]:
        said = Sentence(
            "The name ends in {extension}, but the file is a {kind}.", extension=extension, kind=contents.format
        )
        yield Finding("file", Strength.HINT, said, details={"extension": extension})
