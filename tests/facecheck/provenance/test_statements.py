"""Each row of the table of statements, in a file as it is written; labels that laws ask for; makers of cameras."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import facecheck
from facecheck.provenance import Claim
from facecheck.provenance.declarations import Field, Statement, declared_by, statements
from facecheck.provenance.reader import read

NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
}
LABEL = {"Label": "1", "ContentProducer": "001191330101000000", "ProduceID": "42"}


def jpeg(exif: dict[int, object] | None = None, xmp: dict[str, str] | None = None) -> bytes:
    stream, options, tags = io.BytesIO(), {}, Image.Exif()
    for tag, value in (exif or {}).items():
        (tags.get_ifd(0x8769) if tag == 0x9286 else tags)[tag] = value
    if exif:
        options["exif"] = tags.tobytes()
    if xmp:
        inside = "".join(f"<{name}>{text}</{name}>" for name, text in xmp.items())
        declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
        options["xmp"] = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f"<rdf:Description {declared}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
        ).encode()
    Image.new("RGB", (16, 16)).save(stream, "JPEG", **options)
    return stream.getvalue()


def png(**texts: str) -> bytes:
    info, stream = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new("RGB", (8, 8)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def written(row: Statement) -> bytes:
    """A file that makes the statement."""
    text = row.example or row.text
    if row.kind == "source_type":
        return jpeg(xmp={"Iptc4xmpExt:DigitalSourceType": f"http://cv.iptc.org/newscodes/digitalsourcetype/{text}"})
    if row.kind == "camera":
        return jpeg({0x010F: text.upper(), 0x0110: "Model 1"})
    return png(Software=text)


@pytest.mark.parametrize("row", statements(), ids=lambda row: f"{row.kind}: {row.text}")
def test_a_row_of_the_table_is_read(row):
    (finding,) = read(written(row)).findings
    assert finding.claim == row.claim
    assert finding.strength == "declared"
    assert row.source
    assert row.kind == "source_type" or (row.writer and row.text == row.text.lower())


def test_no_row_stands_twice():
    keys = [(row.kind, row.text) for row in statements()]
    assert len(keys) == len(set(keys))


def test_the_exif_of_a_generator_is_no_camera():
    """As FLUX's own code writes it."""
    answer = read(jpeg({0x0131: "AI generated;txt2img;flux", 0x010F: "Black Forest Labs", 0x0110: "flux-dev"}))
    assert answer.claims == ("generated",)
    assert answer.contradiction("fake") is None


def test_an_unknown_maker_is_told_and_claims_nothing():
    answer = read(jpeg({0x010F: "Imaginary Optics", 0x0110: "Dream 1"}))
    (finding,) = answer.findings
    assert (finding.strength, finding.claim) == ("hint", "nothing")
    assert "Imaginary Optics Dream 1" in finding.says
    assert answer.contradiction("fake") is None


def test_a_camera_beside_a_generated_statement_is_not_held_against_the_pixels():
    answer = read(jpeg({0x010F: "Canon", 0x0110: "EOS R5", 0x0131: "Midjourney"}))
    assert answer.claims == ("generated", "photographed")
    for verdict in ("fake", "real"):
        assert "the file says both" in answer.contradiction(verdict)
        assert "was generated" in answer.contradiction(verdict)
        assert "is a photograph" in answer.contradiction(verdict)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(xmp={"TC260:AIGC": json.dumps(LABEL)}),
        png(AIGC=json.dumps(LABEL)),
        jpeg({0x9286: b"ASCII\0\0\0" + json.dumps({"AIGC": LABEL}).encode()}),
        jpeg({0x9286: b"UNICODE\0" + json.dumps({"AIGC": LABEL}).encode("utf-16-le")}),
        jpeg({0x010E: json.dumps(LABEL)}),
    ],
    ids=["XMP", "PNG text", "UserComment", "UserComment in UTF-16", "ImageDescription"],
)
def test_the_label_of_chinas_law(data):
    (finding,) = [found for found in read(data).findings if found.claim == "generated"]
    assert finding.strength == "declared"
    assert "GB 45438-2025" in finding.says
    assert finding.details == LABEL


@pytest.mark.parametrize(("value", "words"), [("2", "may be"), ("3", "suspected")])
def test_a_label_that_only_suspects_is_a_hint(value, words):
    (finding,) = read(png(AIGC=json.dumps(LABEL | {"Label": value}))).findings
    assert (finding.strength, finding.claim) == ("hint", "generated")
    assert words in finding.says


@pytest.mark.parametrize("text", ['{"Label": "1"}', '"Label"', "[" * 50_000 + '"Label"', '{"Label": 1, "ProduceID": '])
def test_what_only_looks_like_the_label_says_nothing(text):
    assert read(png(AIGC=text)).findings == ()


def test_the_fields_of_iptc_2025():
    fields = {
        "AISystemUsed": "ChatGPT", "AISystemVersionUsed": "5", "AIPromptInformation": "a cat",
        "AIPromptWriterName": "Ada",
    }  # fmt: skip
    alone = read(jpeg(xmp={f"Iptc4xmpExt:{name}": text for name, text in fields.items()}))
    (finding,) = alone.findings
    assert (finding.source, finding.claim) == ("iptc", "generated")
    assert finding.details == {"generator": "ChatGPT", "version": "5", "prompt": "a cat", "prompt_writer": "Ada"}
    edited = {"Iptc4xmpExt:DigitalSourceType": "compositeWithTrainedAlgorithmicMedia", "Iptc4xmpExt:AISystemUsed": "X"}
    assert read(jpeg(xmp=edited)).claims == ("partly_generated",)


def test_a_credit_says_more_than_the_name_of_an_agency():
    assert read(jpeg(xmp={"photoshop:Credit": "Edited with Google AI"})).claims == ("partly_generated",)
    assert read(jpeg(xmp={"photoshop:Credit": "Midjourney / A. Person"})).claims == ("generated",)
    for credit in ("Getty Images", "Sora Tanaka", "Gemini", "Krea", "OpenAI"):
        assert read(jpeg(xmp={"photoshop:Credit": credit})).findings == (), credit


@pytest.mark.parametrize(
    "caption",
    ["The head of OpenAI speaks of ChatGPT and Midjourney.", "Reimagined with AI", "AI generated much debate", "Sora"],
)
def test_captions_about_generators_are_no_statements(caption):
    assert declared_by(caption, Field.CAPTION) is None
    assert Claim.GENERATED not in read(jpeg({0x010E: caption}, {"dc:description": caption})).claims


def test_midjourney_in_a_description():
    text = "a portrait --ar 3:2 --v 6.1 Job ID: 01234567-89ab-cdef-0123-456789abcdef"
    for data in (jpeg({0x010E: text}), jpeg(xmp={"dc:description": text})):
        (finding,) = read(data).findings
        assert finding.details["prompt"] == "a portrait"
        assert finding.details["version"] == "6.1"


def test_comfyui_in_a_jpeg():
    graph = {"3": {"class_type": "KSampler", "inputs": {"seed": 7}}, "6": {"class_type": "T", "inputs": {"text": "a"}}}
    for exif in (
        {0x010F: "Prompt: " + json.dumps(graph), 0x010E: "Workflow: {}"},
        {0x9286: b"ASCII\0\0\0" + json.dumps({"prompt": graph}).encode()},
        {0x9286: b"ASCII\0\0\0" + json.dumps({"prompt": json.dumps(graph)}).encode()},
    ):
        (finding,) = read(jpeg(exif)).findings
        assert (finding.details["generator"], finding.details["seed"]) == ("ComfyUI", "7")


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("Version: f2.0.1v1.10.1", "Forge"),
        ("App: SD.Next, Version: 1", "SD.Next"),
        ("Version: ComfyUI", "ComfyUI"),
        ('Civitai resources: [{"type":"checkpoint"}]', "Civitai"),
        ("Version: v1.10.1", "AUTOMATIC1111"),
    ],
)
def test_relatives_of_a1111_are_told_apart(more, name):
    (finding,) = read(png(parameters=f"a face\nSteps: 20, Sampler: Euler, Seed: 5, {more}")).findings
    assert name in finding.details["generator"]


def test_grok_and_jobs_of_hugging_face_are_hints():
    grok = read(jpeg({0x010E: "Signature: abc", 0x013B: "01234567-89ab-cdef-0123-456789abcdef"}))
    assert [(found.strength, found.claim) for found in grok.findings] == [("hint", "generated")]
    job = facecheck.provenance(png(**{"hf-job-id": "0123"}))
    assert [(found.strength, found.claim) for found in job.findings] == [("hint", "nothing")]


def test_the_documents_have_every_row():
    told = (Path(__file__).parents[3] / "docs" / "provenance.md").read_text(encoding="utf-8")
    for row in statements():
        assert (row.example if row.match == "pattern" else row.text) in told, row.text
