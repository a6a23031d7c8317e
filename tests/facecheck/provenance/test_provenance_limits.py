"""A small file cannot cost minutes: the work grows at most with the file, whatever it claims."""

import io
import json
import struct
import zlib

import pytest
from PIL import Image

from facecheck.provenance import Provenance, containers, reader
from facecheck.provenance.reader import read
from tests.speed import reference_seconds

MB = 1 << 20
JXL = b"\0\0\0\x0cJXL \r\n\x87\n"
SECONDS_PER_MB, LEAST_SECONDS = 0.3, 0.05
LONG = "u" * MB
FTYP = struct.pack(">I", 24) + b"ftypavif\0\0\0\0avifmif1"


def saved(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(stream, kind)
    return stream.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def png(*chunks: bytes) -> bytes:
    whole = saved("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def jpeg(*segments: bytes) -> bytes:
    whole = saved("JPEG")
    return whole[:2] + b"".join(segments) + whole[2:]


def png_texts(size: int, value: bytes, most: int = MB - 100) -> bytes:
    """Text chunks full of a value; `most`: bytes of one."""
    body = (value * (min(size, most) // len(value) + 1))[: min(size, most)]
    return png(*[chunk(b"tEXt", b"parameters%d\0" % i + body) for i in range(max(size // len(body), 1))])


def parameters(size: int, text: str, key: str = "parameters") -> bytes:
    return png(chunk(b"tEXt", key.encode() + b"\0" + text.encode()[: min(size, MB - 100)]), chunk(b"prVt", bytes(size)))


def xmp(size: int, inside: str, declared: str = "") -> bytes:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" {declared}>{inside}</rdf:Description></rdf:RDF>'
        "</x:xmpmeta>"
    ).encode()
    return png(*[chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + packet)] * max(size // len(packet), 1))


def tiff(size: int) -> bytes:
    """A directory of a thousand entries, which all name the same megabyte."""
    whole = b"II*\0" + struct.pack("<IH", 8, 1000)
    tags = (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x9286, 700, 33723)
    whole += b"".join(struct.pack("<HHII", tags[i % len(tags)], 7, min(size, MB) - 20_000, 14_000) for i in range(1000))
    return whole.ljust(size, b"\xe9")


def exif_segments(size: int) -> bytes:
    body = b"Exif\0\0" + tiff(65_000)
    return jpeg(*[segment(0xE1, body)] * (size // len(body)))


def iptc(size: int) -> bytes:
    records = b"\x1c\x02\x28\0\1x" * 10_000
    body = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(records)) + records
    return jpeg(*[segment(0xED, body)] * (size // len(body)))


def samsung(size: int) -> bytes:
    entries = struct.pack("<HHII", 0, 1, 100, 100) * 2000
    directory = b"SEFH" + struct.pack("<II", 107, 2_000_000) + entries
    return (
        b'PhotoEditor_Re_Edit_Data "genAIType":' * (size // 37)
        + directory
        + struct.pack("<I", len(directory))
        + b"SEFT"
    )


def item_table(kind: bytes, places: bytes, items: int, sizes: int, named: int = 1) -> bytes:
    entries = b"".join(box(b"infe", struct.pack(">IHH", 2 << 24, i, 0) + kind) for i in range(1, max(named, 1) + 1))
    names = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", named) + entries)
    table = struct.pack(">BBH", sizes, 0, items) + places
    return box(b"meta", b"\0\0\0\0" + names + box(b"iloc", b"\0\0\0\0" + table))


def avif_items(size: int) -> bytes:
    """As many tables as fit, each with a thousand items that span nearly the whole file."""
    one = item_table(b"mime\0application/rdf+xml\0", struct.pack(">HHHI", 1, 0, 1, size - 100) * 1000, 1000, 0x04)
    return FTYP + one * (size // len(one))


def avif_overlaps(size: int) -> bytes:
    start, body = FTYP, bytes(4) + tiff(min(size, MB) - 2000)
    places = b"".join(struct.pack(">HHHII", i, 0, 1, len(start) + 8, len(body)) for i in range(1, 65))
    filled = start + box(b"mdat", body) + item_table(b"Exif\0", places, 64, 0x44, 64)
    return filled + box(b"free", bytes(max(size - len(filled), 0)))


def jp2_boxes(size: int) -> bytes:
    return saved("JPEG2000") + box(b"uuid", bytes(16)) * (size // 24)


def gif_comments(size: int) -> bytes:
    whole = saved("GIF")
    comment = b"\x21\xfe" + b"\1x" * min(size // 2, MB // 2) + b"\0"
    return whole[:-1] + comment * max(size // len(comment), 1) + b"\x3b"


def comfyui(size: int) -> bytes:
    inputs = {str(i): ["1", 0] for i in range(size // 40)}
    graph = {"1": {"class_type": "KSampler", "inputs": {"seed": ["1", 0], "positive": ["1", 0], **inputs}}}
    graph |= {str(i): {"class_type": "a", "inputs": {}} for i in range(2, size // 80)}
    return parameters(size, json.dumps(graph)[: MB - 200], "prompt")


FILES = {
    "PNG: text": lambda size: png_texts(size, b"a, "),
    "PNG: text that is not printable": lambda size: png_texts(size, b"\x07\xe9"),
    "PNG: many texts": lambda size: png_texts(size, b"a", 10),
    "PNG: empty chunks": lambda size: png(chunk(b"prVt", b"") * (size // 12)),
    "PNG: compressed text": lambda size: png(
        *[chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(MB - 1), 9))] * (size // 1050)
    ),
    "PNG: damaged compressed text": lambda size: png(
        *[chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(MB - 1), 9)[:-1] + b"x")] * (size // 1050)
    ),
    "JPEG: fill bytes": lambda size: jpeg(b"\xff" * size),
    "JPEG: empty segments": lambda size: jpeg(segment(0xE5, b"") * (size // 4)),
    "JPEG: comments": lambda size: jpeg(segment(0xFE, b'{"a": ' * 10_000) * (size // 60_000)),
    "JPEG: scans": lambda size: jpeg(b"\xff\xda\0\2" * (size // 4)),
    "JPEG: EXIF": exif_segments,
    "JPEG: IPTC": iptc,
    "JPEG: no length": lambda size: jpeg(b"\xff\xe5\0\0" * (size // 4)),
    "JPEG: pictures behind it": lambda size: jpeg() + jpeg() * (size // len(jpeg())),
    "JPEG: beginnings behind it": lambda size: jpeg() + b"\xff\xd8\xffx" * (size // 4),
    "JPEG: padding behind it": lambda size: jpeg() + b"\xff\0x" * (size // 3),
    "JPEG: Samsung's directory": lambda size: jpeg() + samsung(size),
    "WebP: chunks": lambda size: b"RIFF" + struct.pack("<I", size + 4) + b"WEBP" + b"XMP \0\0\0\0" * (size // 8),
    "GIF: comments": gif_comments,
    "GIF: small blocks": lambda size: saved("GIF")[:-1] + b"\x21\xfe\1x\0" * (size // 5) + b"\x3b",
    "TIFF: directory": tiff,
    "AVIF: items": avif_items,
    "AVIF: items that overlap": avif_overlaps,
    "AVIF: empty boxes": lambda size: saved("AVIF") + box(b"free", b"") * (size // 8),
    "JPEG 2000: boxes": jp2_boxes,
    "JPEG XL: boxes": lambda size: JXL + box(b"xml ", b"") * (size // 8),
    "JPEG XL: EXIF": lambda size: JXL + box(b"Exif", bytes(4) + tiff(60_000)) * (size // 60_012),
    "HEIF: boxes": lambda size: FTYP.replace(b"avif", b"heic") + box(b"uuid", bytes(16)) * (size // 24),
    "XMP: depth": lambda size: xmp(size, "<a>" * 60_000 + "</a>" * 60_000),
    "XMP: elements": lambda size: xmp(size, "<a/>" * 250_000),
    "XMP: attributes": lambda size: xmp(size, "", " ".join(f'xmp:a{i}="{i}"' for i in range(40_000))),
    "XMP: namespaces": lambda size: xmp(size, "<y:a/>" * 80_000, f'xmlns:y="{LONG[:500_000]}"'),
    "XMP: namespaces of attributes": lambda size: xmp(
        size, "<y:a " + " ".join(f'y:b{i}=""' for i in range(40_000)) + "/>", f'xmlns:y="{LONG[:400_000]}"'
    ),
    "XMP: declarations": lambda size: xmp(size, "", " ".join(f'xmlns:n{i}="{i}"' for i in range(40_000))),
    "XMP: pieces": lambda size: xmp(size, f"<xmp:CreatorTool>{'a<b/>' * 150_000}</xmp:CreatorTool>"),
    "A1111: settings": lambda size: parameters(size, "x\nSteps: 1, Seed: 2, " + "a: b," * 200_000),
    "A1111: quotes": lambda size: parameters(size, "x\nSteps: 1, Seed: 2, " + 'a: "\\' * 200_000),
    "A1111: lines": lambda size: parameters(size, "Steps: 1, \n" * 90_000),
    "ComfyUI: graph": comfyui,
    "JSON: depth": lambda size: parameters(size, "[" * MB, "prompt"),
    "Midjourney": lambda size: parameters(size, "x --v" * 200_000, "Description"),
    "Dream": lambda size: parameters(size, '"x" -a' * 150_000, "Dream"),
}


def seconds(data: bytes) -> float:
    found: list[Provenance] = []
    spent = reference_seconds(lambda: found.append(read(data)))
    assert not any("could not be read (" in problem for problem in found[0].problems), found[0].problems
    return spent


@pytest.mark.parametrize("name", FILES)
def test_the_work_grows_at_most_with_the_file(name):
    small, large = FILES[name](MB // 4), FILES[name](2 * MB)
    before = seconds(small)
    after = seconds(large)
    assert before < max(SECONDS_PER_MB * len(small) / MB, LEAST_SECONDS) + SECONDS_PER_MB, name
    assert after < max(SECONDS_PER_MB * len(large) / MB, LEAST_SECONDS), name
    assert after < 3 * max(before, LEAST_SECONDS) * len(large) / len(small), name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("PNG: text", "bytes of metadata"),
        ("PNG: many texts", "64 blocks"),
        ("PNG: empty chunks", "100000 parts"),
        ("PNG: compressed text", "more compressed metadata"),
        ("JPEG: no length", "damaged"),
        ("AVIF: items", "only the first"),
        ("AVIF: items that overlap", "bytes"),
        ("XMP: depth", "64 in each other"),
        ("XMP: elements", "20000 elements"),
    ],
)
def test_a_limit_that_was_met_is_told(name, problem):
    problems = read(FILES[name](6 * MB)).problems
    assert any(problem in said for said in problems), problems


def test_time_is_a_limit_too(monkeypatch):
    monkeypatch.setattr(containers, "MOST_SECONDS", -1.0)
    found = read(png(chunk(b"tEXt", b"Software\0ComfyUI")))
    assert not found.findings
    assert "takes more than" in found.problems[0]


def test_large_credentials_are_named_and_not_checked(monkeypatch):
    monkeypatch.setattr(reader, "MOST_CREDENTIALS", 100)
    found = read(png(chunk(b"caBX", bytes(101))))
    assert "101 bytes; they were not checked" in found.problems[0]
