"""What phones append to a picture is named; what nobody knows is an oddity; none of it is a claim."""

import io
import struct

import pytest
from PIL import Image

from facecheck.provenance.reader import read


def jpeg(xmp: bytes = b"", kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(stream, kind, **options | ({"xmp": xmp} if xmp else {}))
    return stream.getvalue()


def samsung(name: bytes, body: bytes) -> bytes:
    """A block, the directory of blocks, and its size, as Galaxy phones append them."""
    block = b"\0\0\x30\x0a" + struct.pack("<I", len(name)) + name + body
    directory = b"SEFH" + struct.pack("<II", 107, 1) + struct.pack("<HHII", 0, 0x0A30, len(block), len(block))
    return block + directory + struct.pack("<I", len(directory)) + b"SEFT"


CLIP = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08free"
TWO = jpeg(kind="MPO", save_all=True, append_images=[Image.new("L", (8, 8))])
GAIN_MAP = jpeg(b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>')
DEPTH = jpeg(b'<x xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"/>')


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (TWO, "picture"),
        (jpeg() + GAIN_MAP, "gain map"),
        (jpeg() + DEPTH, "depth map"),
        (jpeg() + CLIP, "clip"),
        (jpeg() + GAIN_MAP + CLIP, "gain map, clip"),
        (jpeg() + bytes(100) + GAIN_MAP, "padding, gain map"),
        (jpeg() + b"\xff" * 7 + GAIN_MAP, "padding, gain map"),
        (jpeg() + samsung(b"Image_UTC_Data", b"1700000000000"), "Samsung"),
        (jpeg() + CLIP + samsung(b"MotionPhoto_Data", CLIP), "clip, Samsung"),
        (jpeg(kind="PNG") + CLIP, "clip"),
        (jpeg(kind="WEBP") + CLIP, "clip"),
    ],
)
def test_what_phones_append_is_named_and_is_no_oddity(data, kinds):
    answer = read(data)
    (finding,) = answer.findings
    assert (finding.strength, finding.claim) == ("hint", "nothing")
    assert finding.details == {"appended": kinds}
    assert answer.problems == ()


def test_unknown_bytes_between_known_pieces_are_counted():
    named, odd = read(jpeg() + b"thirteen more" + GAIN_MAP + b"four").findings
    assert named.details == {"appended": "gain map"}
    assert odd.details == {"appended_bytes": "17"}


def test_a_generative_tool_of_samsungs_editor():
    made, untouched = b'{"genAIType":3,"x":1}', b'{"genAIType":0}'
    answer = read(jpeg() + samsung(b"PhotoEditor_Re_Edit_Data", made))
    assert [(found.strength, found.claim) for found in answer.findings] == [
        ("hint", "partly_generated"),
        ("hint", "nothing"),
    ]
    assert read(jpeg() + samsung(b"PhotoEditor_Re_Edit_Data", untouched)).claims == ()
    assert read(jpeg() + b'PhotoEditor_Re_Edit_Data {"genAIType":3}').claims == ()


def test_a_directory_that_lies_names_nothing():
    whole = bytearray(jpeg() + samsung(b"Image_UTC_Data", b"1"))
    whole[-8:-4] = struct.pack("<I", 1 << 30)
    *_, odd = read(bytes(whole)).findings
    assert "appended_bytes" in odd.details
    assert not any("Samsung" in found.says for found in read(bytes(whole)).findings)
