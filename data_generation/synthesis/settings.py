"""What a run of `generate` is asked to do, the same for all of its images."""

from dataclasses import dataclass

from data_generation.errors import GenerationError
from data_generation.record import MODES, TXT2IMG, VAE
from facecheck.files import sha256_of

DEFAULT_MODEL = "SG161222/Realistic_Vision_V1.4"
EMBEDDED_MODEL = "facecheck/tiny-faces"
DTYPES = ("float32", "float16", "bfloat16")
LICENCES = {
    "SG161222/Realistic_Vision_V1.4": "creativeml-openrail-m",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
    "stabilityai/stable-diffusion-xl-base-1.0": "openrail++",
    "stabilityai/stable-diffusion-3-medium-diffusers": "stabilityai-ai-community",
    "black-forest-labs/FLUX.1-schnell": "apache-2.0",
    "black-forest-labs/FLUX.1-dev": "flux-1-dev-non-commercial-license",
    EMBEDDED_MODEL: "CC BY-NC-SA 4.0",
}
"""Of well-known models, as their hub pages gave them in 2026; `--licence` wins, then the model's own README."""


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
        offload: keep on the GPU only the part that works.
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
    licence: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise GenerationError(f"mode {self.mode!r}: choose one of {', '.join(MODES)}")
        if self.dtype and self.dtype not in DTYPES:
            raise GenerationError(f"dtype {self.dtype!r}: choose one of {', '.join(DTYPES)}")
        if not 0 < self.strength <= 1:
            raise GenerationError(f"strength {self.strength}: choose a number above 0, at most 1")
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
