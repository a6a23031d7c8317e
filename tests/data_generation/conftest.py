"""Small random pipelines on disk, in diffusers' layout, and images that are faces."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from data_generation.gate import Gate, reasons
from data_generation.record import TXT2IMG, Recipe, Row
from data_generation.store import Manifest, encode_png, store
from tests.data_generation.image_server import serving

SIDE = 64
WORDS = "abcdefghijklmnopqrstuvwxyz0123456789,."


def _tokenizer(folder: Path):
    from transformers import CLIPTokenizer

    tokens = [*WORDS, *(letter + "</w>" for letter in WORDS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def _text_config():
    from transformers import CLIPTextConfig

    last = 2 * len(WORDS) + 1
    return CLIPTextConfig(
        vocab_size=last + 1, hidden_size=32, intermediate_size=32, num_attention_heads=4, num_hidden_layers=1,
        bos_token_id=last - 1, eos_token_id=last, pad_token_id=last, projection_dim=32,
    )  # fmt: skip


def _vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, sample_size=SIDE,
    )  # fmt: skip


def _unet(**more):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE // 2, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8, norm_num_groups=8, **more,
    )  # fmt: skip


def _noise():
    from diffusers import DDIMScheduler

    return DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1)


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory) -> Path:
    """A StableDiffusionPipeline of random weights: 64 pixels, real tokenizer, text encoder, UNet and autoencoder."""
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sd")
    pipe = StableDiffusionPipeline(
        vae=_vae(), text_encoder=CLIPTextModel(_text_config()), tokenizer=_tokenizer(folder), scheduler=_noise(),
        unet=_unet(cross_attention_dim=32), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder / "little-sd")
    (folder / "little-sd" / "README.md").write_text("---\nlicense: mit\n---\nRandom weights.\n")
    return folder / "little-sd"


@pytest.fixture(scope="session")
def stable_diffusion_xl(tmp_path_factory) -> Path:
    """The same as a StableDiffusionXLPipeline."""
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sdxl")
    unet = _unet(
        cross_attention_dim=64, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )  # fmt: skip
    pipe = StableDiffusionXLPipeline(
        vae=_vae(), text_encoder=CLIPTextModel(_text_config()), tokenizer=_tokenizer(folder), scheduler=_noise(),
        text_encoder_2=CLIPTextModelWithProjection(_text_config()), tokenizer_2=_tokenizer(folder), unet=unet,
        add_watermarker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder / "little-sdxl")
    return folder / "little-sdxl"


@pytest.fixture(scope="session")
def little_ddpm(tmp_path_factory) -> Path:
    """An unconditional pipeline of random weights: fast enough to be killed many times."""
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=32, block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2, norm_num_groups=4, layers_per_block=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("ddpm") / "little-ddpm"
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def prompts(tmp_path_factory) -> Path:
    """Six prompts of three plan cells."""
    rows = [
        {
            "id": f"p{i}", "cell": f"c{i // 2}", "ordinal": i % 2, "prompt": f"photo of person {i}",
            "negative": "drawing, blurry",
            "attributes": {"age": ("20-29", "60-69")[i % 2], "hair": "short"}, "writer": "template", "model": "",
        }
        for i in range(6)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory, grace, astronaut) -> Path:
    """Two portraits in the public domain, and a picture without a face."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos") / "Portraits"
    folder.mkdir()
    Image.fromarray(grace).save(folder / "grace.jpg")
    Image.fromarray(astronaut).save(folder / "astronaut.png")
    Image.fromarray(np.full((80, 80, 3), 90, np.uint8)).save(folder / "wall.png")
    return folder


@pytest.fixture(scope="session")
def four_images(tmp_path_factory, grace, astronaut):
    """A folder with four recorded images: two faces, a copy of one, and grey."""
    folder, gate = tmp_path_factory.mktemp("recorded") / "images", Gate()
    small = grace[::2, ::2]
    pictures = [grace, astronaut, small, np.full((200, 200, 3), 128, np.uint8)]
    rows = []
    with Manifest(folder / "manifest.jsonl") as manifest:
        for number, (picture, facts) in enumerate(zip(pictures, gate.measure(pictures), strict=True)):
            height, width = picture.shape[:2]
            recipe = Recipe(
                "owner/Model XL", "abc", TXT2IMG, number, prompt_id=f"p{number}", cell=f"c{number}",
                prompt=f"person {number}", width=width, height=height,
            )  # fmt: skip
            sha256 = store(encode_png(picture, recipe, {}, "mit"), folder / "images" / f"{recipe.id}.png")
            rows.append(
                Row(
                    recipe, f"images/{recipe.id}.png", sha256, facts.phash, facts.faces, facts.contrast, facts.clipped,
                    None, reasons(facts, (width, height)), "mit",
                )
            )  # fmt: skip
            manifest.append(rows[-1])
    return folder, rows


@pytest.fixture
def recorded(four_images, tmp_path):
    """A copy of the four images, to be written beside."""
    folder, rows = four_images
    return shutil.copytree(folder, tmp_path / "images"), list(rows)


@pytest.fixture
def images_api():
    """A server of images, for one test."""
    with serving() as server:
        yield server


@pytest.fixture
def lenient():
    """What other packages deprecate is not this package's error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield
