"""What front ends write into their pictures is recognised, with prompt and seed, in every container that they use."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import facecheck
from facecheck.provenance.generators import recognised

PROMPT = "portrait of an old sailor, film grain"
A1111 = (
    f"{PROMPT},\n85mm\nNegative prompt: cartoon, text\nSteps: 25, Sampler: DPM++ 2M, CFG scale: 7, Seed: 3141592653, "
    'Size: 512x768, Model hash: 6ce0161689, Model: v1-5-pruned, Lora hashes: "a: 1, b: 2", Version: v1.10.1'
)
COMFY = {
    "3": {"class_type": "KSampler", "inputs": {"seed": ["9", 0], "positive": ["6", 0], "negative": ["7", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "not this one", "clip": ["4", 1]}},
    "6": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["8", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "CLIPTextEncode", "inputs": {"text": PROMPT, "clip": ["4", 1]}},
    "9": {"class_type": "Seed Everywhere", "inputs": {"seed": 424242}},
}
WORKFLOW = {
    "nodes": [
        {"type": "CLIPTextEncode", "widgets_values": [PROMPT]},
        {"type": "KSampler", "widgets_values": [424242, "randomize"]},
    ]
}
NOVELAI = {"Software": "NovelAI", "Description": PROMPT, "Source": "NAI V4", "Comment": '{"seed": 424242, "uc": "x"}'}
CASES = {
    "AUTOMATIC1111": ({"parameters": A1111}, "3141592653"),
    "ComfyUI": ({"prompt": json.dumps(COMFY), "workflow": json.dumps(WORKFLOW)}, "424242"),
    "ComfyUI ": ({"workflow": json.dumps(WORKFLOW)}, "424242"),
    "InvokeAI": (
        {"invokeai_metadata": json.dumps({"positive_prompt": PROMPT, "seed": 424242, "model": {"name": "juggernaut"}})},
        "424242",
    ),
    "InvokeAI ": ({"sd-metadata": json.dumps({"image": {"prompt": [{"prompt": PROMPT}], "seed": 424242}})}, "424242"),
    "Dream": ({"Dream": f'"{PROMPT}" -s 50 -W 512 -H 512 -C 7.5 -A k_lms -S 424242'}, "424242"),
    "NovelAI": (NOVELAI, "424242"),
    "SwarmUI": ({"parameters": json.dumps({"sui_image_params": {"prompt": PROMPT, "seed": 424242}})}, "424242"),
    "Fooocus": (
        {"parameters": json.dumps({"prompt": PROMPT, "seed": "424242"}), "fooocus_scheme": "fooocus"},
        "424242",
    ),
    "Midjourney": ({"Description": f"{PROMPT} --v 6.1 Job ID: 01234567-89ab-cdef-0123-456789abcdef"}, None),
    "facecheck's": (
        {"facecheck": json.dumps({"id": "a1", "prompt": PROMPT, "model": "sdxl", "seed": 424242})},
        "424242",
    ),
    "text-to-image": ({"Prompt": PROMPT, "Seed": "424242", "num_inference_steps": "30"}, "424242"),
}


def png(texts: dict[str, str], international: bool = False, packed: bool = False) -> bytes:
    info, stream = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        add = info.add_itxt if international else info.add_text
        add(key, text, zip=packed)
    Image.new("RGB", (8, 8)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("style", [{}, {"international": True}, {"packed": True}])
def test_text_chunks_are_recognised_with_prompt_and_seed(name, style):
    texts, seed = CASES[name]
    answer = facecheck.provenance(png(texts, **style))
    (finding,) = answer.findings
    assert name.strip() in finding.details["generator"]
    assert finding.details["prompt"].startswith(PROMPT)
    assert finding.details.get("seed") == seed
    assert (finding.source, finding.strength, finding.claim) == ("text", "declared", "generated")
    assert answer.problems == ()


def test_the_settings_of_a1111_are_read():
    details = facecheck.provenance(png({"parameters": A1111})).findings[0].details
    assert details["negative_prompt"] == "cartoon, text"
    assert details["model"] == "v1-5-pruned"
    assert details["version"] == "v1.10.1"
    assert details["steps"] == "25"


@pytest.mark.parametrize("container", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("coding", ["utf-16-be", "utf-16-le"])
def test_a1111_in_a_user_comment(container, coding):
    exif, stream = Image.Exif(), io.BytesIO()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\x00" + A1111.encode(coding)
    Image.new("RGB", (64, 64)).save(stream, container, exif=exif.tobytes())
    (finding,) = facecheck.provenance(stream.getvalue()).findings
    assert finding.source == "exif"
    assert finding.details["prompt"].startswith(PROMPT)
    assert finding.details["seed"] == "3141592653"


def test_comfyui_in_a_webp():
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0110], exif[0x010F] = "prompt:" + json.dumps(COMFY), "workflow:" + json.dumps(WORKFLOW)
    Image.new("RGB", (8, 8)).save(stream, "WEBP", exif=exif)
    (finding,) = facecheck.provenance(stream.getvalue()).findings
    assert finding.details["prompt"] == PROMPT


def test_draw_things_in_an_xmp_packet():
    comment = json.dumps({"c": PROMPT, "uc": "", "seed": 424242, "model": "sdxl"}).replace('"', "&quot;")
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/"><exif:UserComment><rdf:Alt><rdf:li>'
        f"{comment}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    (finding,) = facecheck.provenance(png({"XML:com.adobe.xmp": packet}, international=True)).findings
    assert finding.details["generator"] == "Draw Things"
    assert finding.details["prompt"] == PROMPT


def test_a_prompt_in_a_jpeg_comment():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", comment=A1111)
    (finding,) = facecheck.provenance(stream.getvalue()).findings
    assert (finding.source, finding.details["seed"]) == ("comment", "3141592653")


@pytest.mark.slow
def test_a_picture_that_diffusers_made_is_recognised_when_its_script_says_how():
    diffusers = pytest.importorskip("diffusers", reason="needs diffusers, which makes the picture")
    network = diffusers.UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    pipeline = diffusers.DDIMPipeline(network, diffusers.DDIMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    picture, info, stream = pipeline(num_inference_steps=1).images[0], PngInfo(), io.BytesIO()
    info.add_text("parameters", json.dumps({"prompt": PROMPT, "seed": 424242, "scheduler": "DDIM"}))
    picture.save(stream, "PNG", pnginfo=info)
    (finding,) = facecheck.provenance(stream.getvalue()).findings
    assert (finding.details["prompt"], finding.details["seed"]) == (PROMPT, "424242")


@pytest.mark.parametrize(
    "texts",
    [
        {"Software": "GIMP"},
        {"Description": "a photo of my cat"},
        {"prompt": "{" * 100_000},
        {"prompt": "[" * 100_000},
        {"parameters": '{"seed": ' + "9" * 10_000 + "}"},
        {"prompt": '{"1": {"class_type": "KSampler", "inputs": {"positive": ["1", 0], "seed": ["1", 0]}}}'},
        {"sd-metadata": '{"image": {"prompt": []}}'},
        {"invokeai_metadata": '{"model": []}'},
        {"workflow": '{"nodes": [1, {"type": "KSampler", "widgets_values": []}]}'},
        {"parameters": "Steps: 1, " + "a" * 100_000},
        {"parameters": "Steps: 1, Seed: 1," + " " * 100_000 + "x"},
        {"parameters": "Steps: 1, Seed: 1," + 'a: "\\' * 50_000},
        {"Description": "x --v" * 50_000},
        {"Dream": '"x" -a' * 150_000},
    ],
)
def test_ordinary_and_hostile_texts_give_no_prompt(texts):
    finding = recognised(texts, "text")
    assert finding is None or "prompt" not in finding.details


def test_long_values_are_cut():
    finding = recognised({"prompt": "a" * 50_000, "seed": "1"}, "text")
    assert len(finding.details["prompt"]) == 4000


def test_pixels_of_a_picture_say_nothing():
    answer = facecheck.provenance(np.zeros((8, 8, 3), np.uint8))
    assert answer.findings == ()
    assert "nothing to read" in answer.sentences[1]
