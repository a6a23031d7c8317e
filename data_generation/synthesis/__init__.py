"""What a run of `generate` is asked to do, the same for all of its images: by a pipeline here, or by a service."""

import json
from dataclasses import dataclass, field
from typing import Any

from data_generation import GenerationError
from data_generation.api_client import OPENAI_URL, Prices
from data_generation.record import MODES, TXT2IMG, VAE, Prompt, Recipe
from facecheck.files import sha256_of

DEFAULT_MODEL = "SG161222/Realistic_Vision_V1.4"
EMBEDDED_MODEL = "facecheck/tiny-faces"
DTYPES = ("float32", "float16", "bfloat16")
LICENCES = {DEFAULT_MODEL: "creativeml-openrail-m", EMBEDDED_MODEL: "CC BY-NC-SA 4.0"}
"""Of models that are in no family; `--licence` wins, then the model's own README."""
PREFIX = "openai:"
"""A --model that begins so is one of a service."""


@dataclass(frozen=True)
class Settings:
    """Everything but the prompts and the photographs.

    Attributes:
        model: hub id or folder. revision: branch, tag or commit of the hub; empty = its newest.
        scheduler: class name of diffusers; empty = the model's own.
        steps, guidance: 0 and None = the pipeline's own defaults; strength: of img2img and inpaint.
        width, height: pixels, 0 = the model's own.
        dtype: of `DTYPES`; empty = float32 on a processor, float16 on a GPU.
        batch: images at once on a GPU; a processor makes them one by one, because the last bit of a batch differs.
        offload: keep on the GPU only the part that works. lora: weights that are added, a file of safetensors.
        face_adapter: an IP-Adapter, a file of safetensors or its folder; face: the photograph whose face it keeps, and
            face_scale how much of it, in (0, 1].
        seed: of the run; every image's own is drawn from it, its prompt and its number.
    """

    model: str = DEFAULT_MODEL
    revision: str = ""
    mode: str = TXT2IMG
    scheduler: str = ""
    steps: int = 0
    guidance: float | None = None
    strength: float = 0.5
    width: int = 0
    height: int = 0
    dtype: str = ""
    device: str = "auto"
    batch: int = 4
    offload: bool = False
    lora: str = ""
    face_adapter: str = ""
    face: str = ""
    face_scale: float = 0.6
    licence: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise GenerationError(f"mode {self.mode!r}: choose one of {', '.join(MODES)}")
        if self.dtype and self.dtype not in DTYPES:
            raise GenerationError(f"dtype {self.dtype!r}: choose one of {', '.join(DTYPES)}")
        if not 0 < self.strength <= 1:
            raise GenerationError(f"strength {self.strength}: choose a number above 0, at most 1")
        if bool(self.face) != bool(self.face_adapter):
            raise GenerationError("--face PHOTO and --face-adapter FILE have no use without each other")
        if not 0 < self.face_scale <= 1:
            raise GenerationError(f"face scale {self.face_scale}: choose a number above 0, at most 1")
        if self.width % 8 or self.height % 8 or min(self.width, self.height) < 0:
            raise GenerationError(f"size {self.width}x{self.height}: both sides must be multiples of 8")

    @property
    def needs_photos(self) -> bool:
        """Whether images are made from photographs."""
        return self.mode != TXT2IMG

    @property
    def needs_prompts(self) -> bool:
        """Whether a prompt can have an influence."""
        return self.mode != VAE and self.model != EMBEDDED_MODEL

    def seed_of(self, name: str, index: int) -> int:
        """The seed of image `index` of a prompt or photograph: 48 bits, the same on every machine."""
        return int(sha256_of(f"{self.seed}/{name}/{index}".encode())[:12], 16)


@dataclass(frozen=True)
class ServiceSettings:
    """What a run asks a service for.

    Attributes:
        model: as the service calls it. base_url: empty = OpenAI's. key: shown to nobody else; it stands in no file.
        size: "1024x1024" and the like; empty, as quality and format, = as the service likes.
        format: of the file, "png", "jpeg" or "webp". licence: of the images.
        timeout: seconds for one image. retries: of requests that were not worked on. per_minute: 0 = no limit.
        max_cost: in the currency of the prices, for all images of the folder; None = no limit.
        retry_lost: ask again for images whose answer did not arrive, though they may have been paid for.
    """

    model: str
    base_url: str = ""
    key: str = field(default="", repr=False)
    size: str = ""
    quality: str = ""
    format: str = ""
    licence: str = ""
    timeout: float = 300.0
    retries: int = 6
    backoff: float = 1.0
    per_minute: float = 0.0
    concurrency: int = 4
    max_cost: float | None = None
    prices: Prices = field(default_factory=Prices.load)
    retry_lost: bool = False

    @property
    def address(self) -> str:
        """Of the service, without a name or password."""
        scheme, _, rest = (self.base_url or OPENAI_URL).partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    @property
    def patience(self) -> float:
        """Seconds to wait for an earlier run that still receives, and for room on the disk."""
        return 2 * self.timeout

    @property
    def moderates(self) -> bool:
        """Whether a safety checker is known to look at every image."""
        return not self.base_url

    def recipe(self, prompt: Prompt, index: int) -> Recipe:
        """The recipe of image `index` of a prompt; a service takes no seed."""
        options = {name: getattr(self, name) for name in ("format", "quality") if getattr(self, name)}
        width, height = (int(side) for side in self.size.split("x")) if self.size else (0, 0)
        return Recipe(
            self.model, "", TXT2IMG, 0, index, prompt.id, prompt.cell, prompt.prompt, width=width, height=height,
            dtype="", options=json.dumps(options, sort_keys=True) if options else "",
        )  # fmt: skip

    def request(self, recipe: Recipe) -> dict[str, Any]:
        """What is sent: only what was asked for, because servers refuse what they do not know."""
        wishes = {"size": self.size, "quality": self.quality, "output_format": self.format}
        return {"model": self.model, "prompt": recipe.prompt, "n": 1, **{k: v for k, v in wishes.items() if v}}
