"""Forged, odd and ordinary files: the right finding or a clear problem, never a crash, never another verdict."""

import io
import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import facecheck
from facecheck.errors import ImageError
from facecheck.provenance import ABSENCE, Claim, Finding, Provenance, Strength, containers
from facecheck.provenance.declarations import Field, declared_by
from facecheck.provenance.exif_xmp import XmpError, properties
from facecheck.provenance.reader import opened, read
from tests.facecheck.test_decoding import HEIC
from tests.speed import reference_seconds, slowness

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CONTAINERS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "JPEG2000")


def packet(inside: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        f'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{inside}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


DECLARED = packet(f"<Iptc4xmpExt:DigitalSourceType>{AI}</Iptc4xmpExt:DigitalSourceType>")


def timed(data: bytes) -> tuple[float, Provenance]:
    found: list[Provenance] = []
    spent = reference_seconds(lambda: found.append(facecheck.provenance(data)))
    return spent, found[0]


def saved(kind: str, side: int = 64, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    whole = saved("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]  # After IHDR.


def camera() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Canon", "Canon EOS R5", "Adobe Lightroom 7"
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_camera_and_software_of_exif(kind):
    answer = facecheck.provenance(saved(kind, exif=camera()))
    assert [(f.source, f.strength, f.claim) for f in answer.findings] == [
        ("exif", "declared", "photographed"),
        ("exif", "hint", "nothing"),
    ]
    assert answer.findings[0].details == {"camera": "Canon EOS R5"}
    assert answer.findings[1].details == {"software": "Adobe Lightroom 7"}
    assert (answer.format, answer.problems) == (kind, ())


def xmp_in(kind: str, xmp: bytes) -> bytes:
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return saved("PNG", pnginfo=info)
    if kind == "TIFF":
        return saved("TIFF", tiffinfo={700: xmp})
    if kind == "GIF":
        whole = saved("GIF")
        trailer = bytes((1, *range(255, -1, -1), 0))
        return whole[:-1] + b"\x21\xff\x0bXMP DataXMP" + xmp + trailer + b"\x3b"
    return saved(kind, xmp=xmp)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_the_digital_source_type_in_every_container(kind):
    answer = facecheck.provenance(xmp_in(kind, DECLARED))
    (finding,) = answer.findings
    assert (finding.source, finding.strength, finding.claim) == ("iptc", "declared", "generated")
    assert finding.details["digital_source_type"] == "trainedAlgorithmicMedia"
    assert answer.problems == ()
    Image.open(io.BytesIO(xmp_in(kind, DECLARED))).load()


def test_our_own_masters_are_recognised_twice():
    info = PngInfo()
    info.add_text("facecheck", json.dumps({"id": "f1", "prompt": "a woman", "model": "m", "seed": 7}))
    info.add_itxt("XML:com.adobe.xmp", DECLARED.decode())
    answer = facecheck.provenance(saved("PNG", pnginfo=info))
    assert {f.source for f in answer.findings} == {"iptc", "text"}
    assert answer.claims == ("generated",)


@pytest.mark.parametrize(
    ("inside", "attributes", "claim"),
    [
        ("", f'Iptc4xmpExt:DigitalSourceType="{AI}"', "generated"),
        (f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{AI}"/>', "", "generated"),
        ("<photoshop:Credit>Made with Google AI</photoshop:Credit>", "", "generated"),
        ("<xmp:CreatorTool>Adobe Firefly 3</xmp:CreatorTool>", "", "generated"),
        ("<xmp:CreatorTool>GIMP</xmp:CreatorTool>", "", "nothing"),
        (
            f"<Iptc4xmpExt:DigitalSourceType>{AI[:-23]}digitalCapture</Iptc4xmpExt:DigitalSourceType>",
            "",
            "photographed",
        ),
        ("<Iptc4xmpExt:DigitalSourceType>unheardOf</Iptc4xmpExt:DigitalSourceType>", "", "nothing"),
    ],
)
def test_ways_to_write_a_declaration(inside, attributes, claim):
    (finding,) = facecheck.provenance(xmp_in("JPEG", packet(inside, attributes))).findings
    assert finding.claim == claim


def test_a_foreign_namespace_declares_nothing():
    forged = DECLARED.replace(b"http://iptc.org/std/", b"http://example.org/std/")
    assert facecheck.provenance(xmp_in("JPEG", forged)).findings == ()


def test_bytes_that_look_like_metadata_outside_of_the_structure_say_nothing():
    whole = saved("JPEG")
    answer = facecheck.provenance(whole + DECLARED + b"parameters\x00Steps: 1, Seed: 2")
    assert [(f.source, f.claim) for f in answer.findings] == [("file", "nothing")]
    stored = png_with(chunk(b"prVt", b"tEXt" + b"parameters\x00x\nSteps: 1, Seed: 2" + DECLARED))
    assert facecheck.provenance(stored).findings == ()


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">%s]><x>&j;</x>""" % b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
)


@pytest.mark.parametrize("bad", [BOMB, b"<x", b"<x>" * 20_000, b"\xff\xfe\x00", b"<x a='\x00'/>", b"", DECLARED[:-30]])
def test_xmp_bombs_and_rubbish_are_refused(bad):
    with pytest.raises(XmpError):
        properties(bad)
    spent, answer = timed(saved("JPEG", xmp=bad) if bad else xmp_in("PNG", b" "))
    assert answer.findings == ()
    assert "XMP" in answer.problems[0]
    assert spent < 1


def test_external_entities_are_not_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    bad = f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{secret}">]><x>&a;</x>'.encode()
    assert "secret" not in str(facecheck.provenance(saved("JPEG", xmp=bad)).to_dict()).replace(str(tmp_path), "")


def test_huge_and_many_text_chunks():
    huge = png_with(chunk(b"tEXt", b"parameters\x00" + b"a" * 5_000_000))
    assert "5000000 bytes" in facecheck.provenance(huge).problems[0]
    packed = zlib.compress(bytes(50_000_000), 9)
    for name, head in ((b"zTXt", b"prompt\x00\x00"), (b"iTXt", b"prompt\x00\x01\x00\x00\x00")):
        assert "unpacks to more" in facecheck.provenance(png_with(chunk(name, head + packed))).problems[0]
    damaged = png_with(chunk(b"zTXt", b"prompt\x00\x00rubbish"))
    assert "damaged" in facecheck.provenance(damaged).problems[0]
    many = png_with(*[chunk(b"tEXt", b"k%d\x00v" % i) for i in range(3 * containers.MOST_BLOCKS)])
    (problem,) = facecheck.provenance(many).problems
    assert "more than 64 blocks" in problem


@pytest.mark.parametrize("is_damaged", [False, True])
def test_all_that_is_unpacked_is_bounded(is_damaged):
    packed = zlib.compress(bytes(containers.LARGEST_BLOCK + 1 - 2 * is_damaged), 9)
    packed = packed[:-1] + bytes([packed[-1] ^ is_damaged])
    many = png_with(*[chunk(b"zTXt", b"k%d\x00\x00" % i + packed) for i in range(3_000)])
    spent, answer = timed(many)
    problems = answer.problems
    assert spent < 1
    assert len(problems) <= containers.MOST_PROBLEMS
    assert any("more compressed metadata" in problem for problem in problems)


def test_an_xmp_value_in_many_pieces():
    many = packet(f"<xmp:CreatorTool>{'a<b/>' * 150_000}</xmp:CreatorTool>")
    spent, answer = timed(png_with(chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + many)))
    (finding,) = answer.findings
    assert spent < 1
    assert finding.details["software"].startswith("a, a, a")


@pytest.mark.parametrize(
    ("credit", "is_generator"),
    [
        ("Imagen: Agencia EFE", False),
        ("Banco de imagenes", False),
        ("OpenAIR Festival", False),
        ("Imagen 2 de 5 / EFE", False),
        ("Imagen 1/4", False),
        ("Imagen 12", False),
        ("Imagen 3", True),
        ("imagen-3.0-generate-002", True),
        ("Imagen (Google)", True),
        ("MidjourneyV6", True),
        ("DALL-E3", True),
        ("stable diffusion_xl", True),
        ("ComfyUI_00001_", True),
        ("Google Imagen", True),
        ("OpenAI DALL·E", True),
        ("Made with Google AI", True),
    ],
)
def test_a_spanish_credit_is_no_generator(credit, is_generator):
    assert (declared_by(credit) is not None) == is_generator
    assert (declared_by(credit, Field.CREDIT) is not None) == is_generator


def test_truncated_and_lying_chunks():
    lying = png_with(struct.pack(">I", 2**31) + b"tEXt" + b"parameters\x00x")
    assert "truncated" in facecheck.provenance(lying).problems[0]
    for kind in CONTAINERS:
        whole = saved(kind, exif=camera()) if kind not in ("GIF", "JPEG2000") else saved(kind)
        assert facecheck.provenance(whole).problems == (), kind
        cut = facecheck.provenance(whole[: len(whole) // 2])
        assert cut.problems or kind == "TIFF", kind


def test_a_file_cut_anywhere_or_flipped_anywhere_never_raises():
    rng = np.random.default_rng(0)
    for kind in CONTAINERS:
        whole = xmp_in(kind, DECLARED) if kind != "JPEG2000" else saved(kind)
        for end in rng.integers(0, len(whole), 60):
            read(whole[:end])
        for _ in range(120):
            flipped = bytearray(whole)
            for place in rng.integers(0, min(len(whole), 800), 3):
                flipped[place] = rng.integers(256)
            found = read(bytes(flipped))
            assert not any("could not be read (" in problem for problem in found.problems), (kind, found)


def test_heic_and_jpeg_xl_cut_or_flipped_anywhere_never_raise():
    rng = np.random.default_rng(1)
    jxl = b"\0\0\0\x0cJXL \r\n\x87\n" + struct.pack(">I4s", 8 + len(DECLARED), b"xml ") + DECLARED
    assert read(jxl).claims == ("generated",)
    for whole in (HEIC, jxl):
        for _ in range(150):
            flipped = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            for place in rng.integers(0, len(flipped), 3):
                flipped[place] = rng.integers(256)
            assert not any("could not be read (" in problem for problem in read(bytes(flipped)).problems)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_appended_bytes_are_named_and_not_read(kind):
    answer = facecheck.provenance(saved(kind) + b"midjourney 13")
    (finding,) = answer.findings
    assert finding.details == {"appended_bytes": "13"}
    assert finding.strength == "hint"
    assert answer.claims == ()


def test_a_swapped_extension_is_named(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved("PNG"))
    (finding,) = facecheck.provenance(path).findings
    assert "ends in .jpg, but the file is a PNG" in finding.says
    for right in ("photo.png", "photo.PNG", "photo", "photo.upload"):
        (tmp_path / right).write_bytes(saved("PNG"))
        assert facecheck.provenance(tmp_path / right).findings == ()


def test_comments_software_and_facebook():
    (finding,) = facecheck.provenance(saved("JPEG", comment="CREATOR: gd-jpeg")).findings
    assert (finding.source, finding.strength) == ("comment", "hint")
    records = (
        b"\x1c\x02\x28"
        + struct.pack(">H", 8)
        + b"FBMD0123"
        + b"\x1c\x02\x6e"
        + struct.pack(">H", 19)
        + b"Made with Google AI"
    )
    resources = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(records)) + records
    segment = b"Photoshop 3.0\x00" + resources
    whole = saved("JPEG")
    answer = facecheck.provenance(whole[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + whole[2:])
    assert [(f.source, f.claim) for f in answer.findings] == [("iptc", "generated"), ("iptc", "nothing")]
    assert "Facebook" in answer.findings[1].says
    text = facecheck.provenance(png_with(chunk(b"tEXt", b"Software\x00Stable Diffusion 3")))
    assert text.claims == ("generated",)


def test_absence_says_that_it_means_nothing():
    answer = facecheck.provenance(saved("JPEG"))
    assert answer == Provenance("JPEG")
    assert answer.sentences == (ABSENCE,)
    assert "means nothing" in ABSENCE


def test_files_that_are_no_pictures():
    for junk in (
        b"",
        b"junk",
        b"%PDF-1.4",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"GIF89a",
        b"II*\x00",
    ):
        assert facecheck.provenance(junk).problems
    with pytest.raises(ImageError, match="no such file"):
        facecheck.provenance("missing.jpg")


def test_contradictions_are_stated_and_change_nothing():
    generated = Finding("iptc", Strength.DECLARED, "g", Claim.GENERATED)
    photographed = Finding("exif", Strength.DECLARED, "p", Claim.PHOTOGRAPHED)
    both = Provenance("JPEG", (generated, photographed))
    assert "contradicts itself" in both.conflict
    assert both.conflict in both.sentences
    assert "look generated, but" in both.contradiction("fake")
    assert "no sign of generation, but" in both.contradiction("real")
    assert Provenance("JPEG", (photographed,)).contradiction("real") is None
    assert Provenance("JPEG", (generated,)).contradiction("uncertain") is None
    assert Provenance("JPEG", (generated,)).conflict is None
    partly = Provenance("JPEG", (Finding("c2pa", Strength.SIGNED, "p", Claim.PARTLY_GENERATED),))
    assert "by its c2pa data (signed) the picture was generated in part" in partly.contradiction("real")
    assert partly.contradiction("fake") is None


def test_it_survives_json():
    answer = facecheck.provenance(saved("JPEG", exif=camera(), xmp=DECLARED))
    assert answer.conflict
    assert Provenance.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer


def test_the_verdict_on_the_pixels_is_the_same_with_any_metadata(checker, grace_path, tmp_path):
    plain = grace_path.read_bytes()
    segment = b"http://ns.adobe.com/xap/1.0/\x00" + DECLARED
    declared = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    renamed = tmp_path / "hopper.png"
    renamed.write_bytes(plain)
    expected = checker.predict(plain)
    for odd in (plain + b"thirteen more", declared, renamed, plain + DECLARED):
        answer = checker.predict(odd)
        assert answer.faces == expected.faces
        assert (answer.verdict, answer.p_fake) == (expected.verdict, expected.p_fake)
        assert answer.provenance != expected.provenance
    assert checker.predict(declared).provenance.claims == ("generated",)


def test_predictions_carry_what_the_file_says(checker, grace, grace_path):
    answer = checker.predict(grace_path)
    assert answer.provenance == facecheck.provenance(grace_path)
    assert checker.predict(grace).provenance is None
    with grace_path.open("rb") as stream:
        assert checker.predict(stream).provenance == answer.provenance
    broken = checker.predict([saved("JPEG", exif=camera())[:-400]])[0]
    assert broken.error
    assert broken.provenance.claims == ("photographed",)
    values = json.loads(json.dumps(answer.to_dict()))
    assert values["provenance"]["format"] == "JPEG"
    assert facecheck.Prediction.from_dict(values) == answer


def test_ordinary_photographs_are_read_fast_and_say_what_is_known(shared_photos: list[Path]):
    slow = []
    for path in shared_photos:
        data = path.read_bytes()
        started = time.thread_time()
        answer = read(data, path.name)
        slow.append(time.thread_time() - started)
        assert answer.problems == (), path
        assert Claim.GENERATED not in answer.claims, path
    assert np.median(slow) / slowness() < 0.002


def test_blocks_are_found_by_structure():
    found = opened(saved("WEBP", exif=camera(), xmp=DECLARED))
    assert [block.kind for block in found.blocks] == ["exif", "xmp"]
    assert opened(b"BM") is None


def test_a_thousand_ordinary_photographs_make_no_claim_of_generation_and_no_oddity(shared_faces, shared_photos):
    photos = [*shared_photos, *sorted((shared_faces / "real").rglob("*.jpg"))[::7][:900]]
    assert len(photos) > 900
    for path in photos:
        answer = read(path.read_bytes(), path.name)
        assert not {Claim.GENERATED, Claim.PARTLY_GENERATED} & set(answer.claims), path
        assert not any("appended_bytes" in finding.details for finding in answer.findings), path
        assert answer.problems == (), path
