"""Weights that are added, and faces that are kept: what they change, what is recorded of them, what is refused."""

import hashlib
import json
import shutil

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import SD3IPAdapterJointAttnProcessor2_0
from diffusers.models.embeddings import IPAdapterTimeImageProjection
from safetensors.torch import load_file, save_file

from data_generation import GenerationError
from data_generation.gate import UNCHECKED
from data_generation.record import read_prompts
from data_generation.store import embedded_recipe, read_folder
from data_generation.synthesis import Settings
from data_generation.synthesis.conditioning import prepared
from data_generation.synthesis.families import FACE_PIPELINES, FAMILIES
from data_generation.synthesis.generate import Local, Run, Shard, tasks
from data_generation.synthesis.pipelines import Pipeline
from tests.data_generation.synthesis.little_pipelines import SIDE

pytestmark = pytest.mark.usefixtures("lenient")
KEEPERS = {family.pipeline: family for family in FAMILIES if family.pipeline in FACE_PIPELINES}
CODE, TOKENS, PARTS = 16, 4, ("to_k_ip", "to_v_ip")


def projection(width):
    """An IP-Adapter's projection of an encoded picture to four tokens, in the names of h94/IP-Adapter."""
    weights = {"proj.weight": torch.randn(TOKENS * width, CODE), "proj.bias": torch.randn(TOKENS * width)}
    weights |= {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)}
    return {f"image_proj.{name}": value for name, value in weights.items()}


def for_unet(unet):
    width = unet.config.cross_attention_dim
    places = [name.removesuffix(".processor") for name in unet.attn_processors if name.endswith("attn2.processor")]
    layers = {
        f"ip_adapter.{2 * number + 1}.{part}.weight": torch.randn(unet.get_submodule(place).inner_dim, width)
        for number, place in enumerate(places)
        for part in PARTS
    }
    return projection(width) | layers


def for_flux(transformer):
    width, inner, weights = transformer.config.joint_attention_dim, transformer.inner_dim, {}
    for name in (f"ip_adapter.{number}.{part}" for number in range(transformer.config.num_layers) for part in PARTS):
        weights |= {f"{name}.weight": torch.randn(inner, width), f"{name}.bias": torch.ones(inner)}
    return projection(width) | weights


def for_sd3(transformer):
    width, head = transformer.inner_dim, transformer.config.attention_head_dim
    image = IPAdapterTimeImageProjection(CODE, width, hidden_dim=64, heads=1, num_queries=TOKENS)
    weights = {f"image_proj.{name}": value for name, value in image.state_dict().items()}
    for number in range(len(transformer.attn_processors)):
        layer = SD3IPAdapterJointAttnProcessor2_0(width, width, head, timesteps_emb_dim=64)
        weights |= {f"ip_adapter.{number}.{name}": value for name, value in layer.state_dict().items()}
    return weights


def adapter_of(pipe, folder):
    """A random adapter for a pipeline, and the encoder beside it."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(1)
    shape = {"hidden_size": CODE, "intermediate_size": CODE, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"image_size": 32, "patch_size": 16}
    if isinstance(pipe, diffusers.StableDiffusion3Pipeline):
        encoder, weights = SiglipVisionModel(SiglipVisionConfig(**shape)), for_sd3(pipe.transformer)
    else:
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**shape, projection_dim=CODE))
        weights = for_unet(pipe.unet) if hasattr(pipe, "unet") else for_flux(pipe.transformer)
    encoder.save_pretrained(folder / "image_encoder")
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "face.safetensors")
    return folder / "face.safetensors"


@pytest.fixture
def adapter(stable_diffusion, tmp_path):
    """For the little Stable Diffusion on the disk."""
    return adapter_of(diffusers.DiffusionPipeline.from_pretrained(stable_diffusion), tmp_path)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("small_photographs")
@pytest.mark.parametrize("family", KEEPERS.values(), ids=KEEPERS)
def test_a_face_changes_the_image_and_the_record_has_its_hash(family, little, prompts, photos, detector, tmp_path):
    usual = {"mode": "edit" if family.edits else "txt2img", "steps": 2, "width": SIDE, "height": SIDE}
    model, start = little(family), photos / "grace.jpg"
    path = adapter_of(Pipeline(Settings(model, **usual)).pipe, tmp_path)
    images, ids = [], set()
    for face, scale in (("grace.jpg", 0.6), ("astronaut.png", 0.6), ("grace.jpg", 0.1)):
        named = {"face_adapter": str(path), "face": str(photos / face), "face_scale": scale}
        pipeline = Pipeline(Settings(model, **usual, **named))
        pictures = [start] if family.edits else []
        recipe = next(iter(tasks(pipeline, read_prompts(prompts), pictures, 1))).recipe
        photo = prepared(start, SIDE, detector) if pictures else None
        images.append(pipeline.render([recipe], [photo])[0].image)
        ids.add(recipe.id)
        assert json.loads(recipe.options) == {
            "face": digest(photos / face), "face_adapter": digest(path), "face_scale": scale,
            "face_encoder": digest(tmp_path / "image_encoder" / "model.safetensors"),
        }  # fmt: skip
        assert np.array_equal(images[-1], pipeline.render([recipe], [photo])[0].image), "the same face"
    assert len(ids) == 3
    assert not np.array_equal(images[0], images[1]), "another face"
    assert not np.array_equal(images[0], images[2]), "less of it"


def test_no_image_of_the_reference_is_kept_and_the_rule_on_minors_holds(
    adapter, stable_diffusion, prompts, photos, tmp_path
):
    face = photos / "grace.jpg"
    settings = Settings(str(stable_diffusion), steps=1, face_adapter=str(adapter.parent), face=str(face))
    pipeline = Pipeline(settings)
    child, adult = read_prompts(prompts)[0], read_prompts(prompts)[1]
    child.attributes["age"] = "child"
    Run(tmp_path / "out", pipeline, Shard()).make(tasks(pipeline, [child, adult], [], 1), Local(pipeline), 2)
    young, old = sorted(read_folder(tmp_path / "out"), key=lambda row: row.age != "child")
    assert UNCHECKED in young.reasons
    assert UNCHECKED not in old.reasons
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"out", "images"}
    assert not young.pair
    assert embedded_recipe(tmp_path / "out" / old.file)["options"] == old.recipe.options
    assert json.loads(old.recipe.options)["face"] == digest(face)


def refused(says, model, adapter, face, **changes):
    with pytest.raises(GenerationError, match=says) as error:
        Pipeline(Settings(str(model), face_adapter=str(adapter), face=str(face), **changes))
    assert "\n" not in str(error.value)


def test_what_is_pickled_or_no_adapter_is_refused(adapter, stable_diffusion, photos, tmp_path):
    face = photos / "grace.jpg"
    for name in ("face.bin", "face.pt", "face.ckpt"):
        (tmp_path / name).write_bytes(b"\x80\x04.")
        refused("may be pickled.*get the adapter as .safetensors", stable_diffusion, tmp_path / name, face)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    refused("no file of safetensors", stable_diffusion, broken, face)
    refused("holds broken.safetensors, face.safetensors: name one", stable_diffusion, tmp_path, face)
    save_file({"unet.weight": torch.ones(1)}, broken)
    refused("is no IP-Adapter", stable_diffusion, broken, face)
    save_file({"image_proj.norm.weight": torch.ones(1), "image_proj.proj.0.weight": torch.ones(1, 1)}, broken)
    refused("FaceID adapter.*take one that reads pictures", stable_diffusion, broken, face)
    fewer = {name: value for name, value in load_file(adapter).items() if name.startswith("image_proj")}
    save_file(fewer, broken)
    refused("does not fit StableDiffusionPipeline", stable_diffusion, broken, face)


def test_an_encoder_is_never_unpickled(adapter, stable_diffusion, photos):
    encoder = adapter.parent / "image_encoder"
    (encoder / "model.safetensors").rename(encoder / "pytorch_model.bin")
    refused("needs the image encoder.*model.safetensors", stable_diffusion, adapter, photos / "grace.jpg")
    shutil.rmtree(encoder)
    refused("needs the image encoder", stable_diffusion, adapter, photos / "grace.jpg")


def test_pipelines_that_keep_no_face_name_those_that_do(adapter, stable_diffusion, little_ddpm, photos):
    face = photos / "grace.jpg"
    those = "these families do: Stable Diffusion 1.5, Stable Diffusion XL, .*Kolors, Chroma"
    refused(f"DDIMPipeline takes no face adapter; {those}", little_ddpm, adapter, face)
    refused(f"AutoencoderKL takes no face adapter; {those}", stable_diffusion, adapter, face, mode="vae")
    refused(f"Qwen-Image takes no face adapter; {those}", "Qwen/Qwen-Image", adapter, face)


def test_a_reference_must_show_a_face(adapter, stable_diffusion, photos):
    refused("no face was found in it; pass another --face", stable_diffusion, adapter, photos / "wall.png")
    for wrong in ({"face": "a.jpg"}, {"face_adapter": "a.safetensors"}):
        with pytest.raises(GenerationError, match="no use without each other"):
            Settings(**wrong)
    with pytest.raises(GenerationError, match=r"face scale 1\.5"):
        Settings(face="a.jpg", face_adapter="a.safetensors", face_scale=1.5)


def test_a_lora_that_does_not_fit_is_named(stable_diffusion, little_ddpm, tmp_path):
    (tmp_path / "style.safetensors").write_bytes(b"nothing")
    with pytest.raises(GenerationError, match="takes no LoRA"):
        Pipeline(Settings(str(little_ddpm), lora=str(tmp_path / "style.safetensors")))
    with pytest.raises(GenerationError, match=r"needs peft|does not fit"):
        Pipeline(Settings(str(stable_diffusion), lora=str(tmp_path / "style.safetensors")))


def test_a_lora_changes_the_image_and_its_id(stable_diffusion, prompts, tmp_path):
    pytest.importorskip("peft", reason="needs peft")
    generator, name = torch.Generator().manual_seed(0), "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weights = {f"{name}.lora_A.weight": torch.randn(4, 32, generator=generator)}
    weights[f"{name}.lora_B.weight"] = torch.randn(32, 4, generator=generator)
    save_file(weights, tmp_path / "style.safetensors")
    images, ids = [], []
    for lora in ("", str(tmp_path / "style.safetensors")):
        pipeline = Pipeline(Settings(str(stable_diffusion), steps=2, lora=lora))
        recipe = next(iter(tasks(pipeline, read_prompts(prompts), [], 1))).recipe
        images.append(pipeline.render([recipe], [None])[0].image)
        ids.append(recipe.id)
    assert ids[0] != ids[1]
    assert not np.array_equal(*images)
