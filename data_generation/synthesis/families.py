"""Families of text-to-image models and the settings that each wants, in one table.

Steps, guidance and dtype are those of the models' own cards and of the examples in diffusers 0.42; sizes are published
numbers of parameters, text encoders included. Models that are in no table run with their pipeline's own defaults.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from data_generation import GenerationError
from data_generation.prompts import INSTRUCTIONS, SENTENCES, TAGS
from data_generation.synthesis import Settings

GUIDANCE, TRUE_CFG, DISTILLED = "guidance_scale", "true_cfg_scale", "distilled_guidance_scale"
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Family:
    """Models that want the same.

    Attributes:
        name: for people. pipeline: class of diffusers. model: a hub id of it.
        pattern: what tells its names from those of the other families of the same class; empty = all others.
        steps, guidance: what it wants; knob: the argument that takes the guidance.
        negative: whether it heeds negative prompts: it runs without one, or is distilled, where it does not.
        dtype: on a GPU. billions: parameters of all parts, and of the largest one, which --offload needs room for.
        licence: as its card says. gated: whether the hub asks for consent to its terms first. side: pixels.
        dialect: of prompts. edits: whether it changes a photograph as it is told (--mode edit).
    """

    name: str
    pipeline: str
    model: str
    pattern: str
    steps: int
    guidance: float
    billions: tuple[float, float]
    licence: str
    knob: str = GUIDANCE
    negative: bool = True
    dtype: str = "bfloat16"
    gated: bool = False
    side: int = 1024
    dialect: str = SENTENCES
    edits: bool = False

    def gigabytes(self, dtype: str, offload: bool = False) -> float:
        """Memory that the weights take, all of them or the largest part."""
        return self.billions[offload] * BYTES[dtype]


SD, XL, SD3 = "StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline"
FLUX, FLUX2, KLEIN = "FluxPipeline", "Flux2Pipeline", "Flux2KleinPipeline"
BFL, STABILITY, APACHE = "flux-non-commercial-license", "stabilityai-ai-community", "apache-2.0"
FAMILIES = (
    Family(
        "Stable Diffusion 1.5", SD, "stable-diffusion-v1-5/stable-diffusion-v1-5", "", 50, 7.5, (1.1, 0.9),
        "creativeml-openrail-m", dtype="float16", side=512, dialect=TAGS,
    ),
    Family(
        "Stable Diffusion XL", XL, "stabilityai/stable-diffusion-xl-base-1.0", "", 50, 5.0, (3.5, 2.6), "openrail++",
        dtype="float16", dialect=TAGS,
    ),
    Family(
        "Stable Diffusion 3.5 Large Turbo", SD3, "stabilityai/stable-diffusion-3.5-large-turbo", "turbo", 4, 0.0,
        (13.9, 8.1), STABILITY, negative=False, gated=True,
    ),
    Family(
        "Stable Diffusion 3.5 Medium", SD3, "stabilityai/stable-diffusion-3.5-medium", "medium", 40, 4.5, (8.2, 4.8),
        STABILITY, gated=True,
    ),
    Family(
        "Stable Diffusion 3.5 Large", SD3, "stabilityai/stable-diffusion-3.5-large", "", 28, 3.5, (13.9, 8.1),
        STABILITY, gated=True,
    ),
    Family(
        "FLUX.1 schnell", FLUX, "black-forest-labs/FLUX.1-schnell", "schnell", 4, 0.0, (16.9, 12.0), APACHE,
        negative=False,
    ),
    Family(
        "FLUX.1 dev", FLUX, "black-forest-labs/FLUX.1-dev", "", 28, 3.5, (16.9, 12.0), BFL, negative=False, gated=True
    ),
    Family(
        "FLUX.1 Kontext", "FluxKontextPipeline", "black-forest-labs/FLUX.1-Kontext-dev", "", 28, 2.5, (16.9, 12.0), BFL,
        negative=False, gated=True, dialect=INSTRUCTIONS, edits=True,
    ),
    Family(
        "FLUX.2 dev", FLUX2, "black-forest-labs/FLUX.2-dev", "", 50, 4.0, (56.0, 32.0), BFL, negative=False, gated=True
    ),
    Family(
        "FLUX.2 klein base", KLEIN, "black-forest-labs/FLUX.2-klein-base-4B", "base", 50, 4.0, (8.0, 4.0), APACHE,
        negative=False,
    ),
    Family(
        "FLUX.2 klein", KLEIN, "black-forest-labs/FLUX.2-klein-4B", "", 4, 1.0, (8.0, 4.0), APACHE, negative=False
    ),
    Family("Qwen-Image", "QwenImagePipeline", "Qwen/Qwen-Image", "", 50, 4.0, (28.9, 20.4), APACHE, knob=TRUE_CFG),
    Family(
        "Qwen-Image-Edit", "QwenImageEditPipeline", "Qwen/Qwen-Image-Edit", "", 50, 4.0, (28.9, 20.4), APACHE,
        knob=TRUE_CFG, dialect=INSTRUCTIONS, edits=True,
    ),
    Family(
        "Qwen-Image-Edit 2509", "QwenImageEditPlusPipeline", "Qwen/Qwen-Image-Edit-2509", "", 40, 4.0, (28.9, 20.4),
        APACHE, knob=TRUE_CFG, dialect=INSTRUCTIONS, edits=True,
    ),
    Family(
        "Z-Image Turbo", "ZImagePipeline", "Tongyi-MAI/Z-Image-Turbo", "turbo", 9, 0.0, (10.3, 6.2), APACHE,
        negative=False,
    ),
    Family("Z-Image", "ZImagePipeline", "Tongyi-MAI/Z-Image", "", 50, 5.0, (10.3, 6.2), APACHE),
    Family(
        "Sana", "SanaPipeline", "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers", "", 20, 4.5, (4.5, 2.6), ""
    ),
    Family(
        "PixArt-Sigma", "PixArtSigmaPipeline", "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", "", 20, 4.5, (5.4, 4.8),
        "openrail++", dtype="float16",
    ),
    Family(
        "HunyuanImage 2.1", "HunyuanImagePipeline", "hunyuanvideo-community/HunyuanImage-2.1-Diffusers", "", 50, 3.25,
        (26.0, 17.5), "tencent-hunyuan-community", knob=DISTILLED, side=2048,
    ),
    Family("Kolors", "KolorsPipeline", "Kwai-Kolors/Kolors-diffusers", "", 50, 5.0, (8.9, 6.2), "", dtype="float16"),
    Family("Chroma", "ChromaPipeline", "lodestones/Chroma1-HD", "", 40, 3.0, (13.7, 8.9), APACHE),
)  # fmt: skip


FACE_PIPELINES = frozenset({SD, XL, SD3, FLUX, "FluxKontextPipeline", "KolorsPipeline", "ChromaPipeline"})
"""Those of diffusers that take an IP-Adapter, and with it a face to keep."""
FACE_KEEPERS = ", ".join(family.name for family in FAMILIES if family.pipeline in FACE_PIPELINES)
EDITORS = ", ".join(family.model for family in FAMILIES if family.edits)


def usual_dtype(family: Family | None, device: str) -> str:
    """Of a network: what the family wants on a GPU, float32 on a processor."""
    if not device.startswith("cuda"):
        return "float32"
    return family.dtype if family else "float16"


def family_of(model: str, pipeline: str = "") -> Family | None:
    """The family of a model by its hub id, or by the class of its pipeline and its name.

    Args:
        pipeline: class of diffusers, where it is known; pipelines for img2img and inpainting count as their own family.
    """
    for family in FAMILIES:
        if family.model.casefold() == model.casefold():
            return family
    base = re.sub(r"(Img2Img|Inpaint)Pipeline$", "Pipeline", pipeline)
    return next(
        (each for each in FAMILIES if each.pipeline == base and re.search(each.pattern, model.casefold())), None
    )


def check_room(family: Family | None, settings: Settings, device: str, dtype: str) -> None:
    """Refuse a model of a family that cannot fit, before gigabytes of it are downloaded.

    Raises:
        GenerationError: its weights alone take more than the GPU, or the machine, has; the message says what would fit.
    """
    import torch

    if family is None:
        return
    offload = settings.offload and device.startswith("cuda")
    need = family.gigabytes(dtype, offload)
    if device.startswith("cuda"):
        have, where = torch.cuda.get_device_properties(device).total_memory / 1e9, "the GPU has"
    else:
        have, where = _free_memory() / 1e9, "this machine has free"
    if need > have:
        smaller = max(
            (each for each in FAMILIES if each.gigabytes(dtype) <= have and each.edits == family.edits),
            key=lambda each: each.billions, default=None,
        )  # fmt: skip
        advice = [f"--model {smaller.model}"] if smaller else []
        if device.startswith("cuda") and not offload and family.gigabytes(dtype, True) <= have:
            advice.insert(0, "--offload")
        if dtype == "float32" and family.gigabytes("bfloat16", offload) <= have:
            advice.insert(0, "--dtype bfloat16")
        raise GenerationError(
            f"{family.name} takes about {need:.0f} GB in {dtype} and {where} {have:.0f} GB; "
            f"use {' or '.join(advice) or 'another machine'}"
        )


def _free_memory() -> float:
    """Bytes of the machine that programs may have."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + _cached()
    except (ValueError, OSError):
        return float("inf")


def _cached() -> float:
    """Bytes that the system would give up, as Linux tells."""
    try:
        told = re.search(r"^Cached:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return 0.0
    return int(told[1]) * 1024.0 if told else 0.0
