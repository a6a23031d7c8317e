"""Load any diffusers pipeline and make images with it."""

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from data_generation import GenerationError
from data_generation.record import EDIT, IMG2IMG, INPAINT, VAE, Recipe
from data_generation.synthesis import EMBEDDED_MODEL, LICENCES, Settings
from data_generation.synthesis.conditioning import Photo, add_adapters, check_adapter, one_line
from data_generation.synthesis.families import EDITORS, GUIDANCE, check_room, family_of, usual_dtype
from facecheck.files import sha256_of

Pixels = npt.NDArray[np.uint8]
EMBEDDED_FOLDER = Path(__file__).parent.parent / "tiny" / "weights"
DEFAULT_SIZE = 512
LOADERS = {
    IMG2IMG: "AutoPipelineForImage2Image",
    INPAINT: "AutoPipelineForInpainting",
    VAE: "AutoModel",
}
"""Classes of diffusers by mode; their names, since the automatic ones import every pipeline there is."""


@dataclass(frozen=True)
class Rendered:
    """(H, W, 3) uint8 RGB, and the answer of the model's safety checker, None where it has none."""

    image: Pixels
    flagged: bool | None


def located(model: str) -> str:
    """What diffusers is given for a model: the embedded one's folder, a folder, or a hub id."""
    return str(EMBEDDED_FOLDER) if model == EMBEDDED_MODEL else model


class Pipeline:
    """A diffusers pipeline under fixed settings.

    Attributes:
        name: hub id, or the folder's name. revision: commit on the hub, or the hash of the folder's files.
        licence: of the model.

    Raises:
        GenerationError: the model cannot be loaded or does not do what is asked.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = _device(settings.device)
        known = family_of(settings.model)
        self.dtype = settings.dtype or usual_dtype(known, self.device)
        check_adapter(known, settings)
        check_room(known, settings, self.device, self.dtype)
        self.pipe = _loaded(settings, getattr(torch, self.dtype))
        place = Path(located(settings.model))
        is_own = place.is_dir() and settings.model != EMBEDDED_MODEL
        self.name = place.resolve().name if is_own else settings.model
        folder = place if place.is_dir() else _snapshot(settings)
        self.revision = _revision(folder) if place.is_dir() else folder.name
        self.family = known or family_of(self.name, type(self.pipe).__name__)
        told = known.licence if known else LICENCES.get(settings.model, "")
        self.licence = settings.licence or told or _readme_licence(folder)
        self._prepare()
        if settings.mode == EDIT and "image" not in self.takes:
            raise GenerationError(f"{settings.model} cannot be used for edit: it takes no image; such do: {EDITORS}")

    def _prepare(self) -> None:
        if self.settings.scheduler and hasattr(self.pipe, "scheduler"):
            self.pipe.scheduler = _scheduler(self.pipe, self.settings.scheduler)
        self.adapters = add_adapters(self.pipe, self.settings)
        if self.settings.offload and self.device.startswith("cuda"):
            self.pipe.enable_model_cpu_offload(device=self.device)
        else:
            self.pipe.to(self.device)
        if hasattr(self.pipe, "set_progress_bar_config"):
            self.pipe.set_progress_bar_config(disable=True)
        is_called = self.settings.mode != VAE
        self.takes = dict(inspect.signature(self.pipe.__call__).parameters) if is_called else {}

    @property
    def takes_prompt(self) -> bool:
        """Whether the model reads text."""
        return "prompt" in self.takes

    @property
    def takes_negative(self) -> bool:
        """Whether the model heeds what no picture shall show."""
        return "negative_prompt" in self.takes and (self.family is None or self.family.negative)

    @property
    def knob(self) -> str:
        """The argument that takes the guidance."""
        return self.family.knob if self.family and self.family.knob in self.takes else GUIDANCE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images, pixels."""
        own = _own_side(self.pipe) or (self.family.side if self.family else DEFAULT_SIZE)
        return self.settings.width or own, self.settings.height or own

    def recipe(self, name: str, index: int, **values: Any) -> Recipe:
        """The recipe of image `index` of a prompt or photograph."""
        settings, (width, height) = self.settings, self.size
        scheduler = type(self.pipe.scheduler).__name__ if hasattr(self.pipe, "scheduler") else ""
        steps, guidance = (self.family.steps, self.family.guidance) if self.family else (None, None)
        added = self.adapters.options
        options = json.dumps(added, sort_keys=True) if added else ""
        return Recipe(
            self.name, self.revision, settings.mode, settings.seed_of(name, index), index,
            scheduler=scheduler, steps=int(self._number("num_inference_steps", settings.steps or steps)),
            guidance=self._number(self.knob, guidance if settings.guidance is None else settings.guidance),
            strength=settings.strength if settings.mode in (IMG2IMG, INPAINT) else 0.0,
            width=width, height=height, dtype=self.dtype, options=options, **values,
        )  # fmt: skip

    def _number(self, parameter: str, asked: float | None) -> float:
        """What is asked for, or the pipeline's default; 0 where the pipeline knows no such parameter."""
        if parameter not in self.takes:
            return 0.0
        return float(self.takes[parameter].default if asked is None else asked)

    def render(self, recipes: Sequence[Recipe], photos: Sequence[Photo | None]) -> list[Rendered]:
        """The images of these recipes, in order; the batch is halved where memory is short.

        On a processor one thread makes one image at a time: the last bits of a sum depend on how it is shared out.

        Raises:
            GenerationError: memory is short for one image.
        """
        if self.device == "cuda":
            return self._halving(recipes, photos)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self._halving(recipes, photos)
        finally:
            torch.set_num_threads(threads)

    def _halving(self, recipes: Sequence[Recipe], photos: Sequence[Photo | None]) -> list[Rendered]:
        is_batched = self.device.startswith("cuda") and self.settings.mode != EDIT
        size = min(self.settings.batch, len(recipes)) if is_batched else 1
        done: list[Rendered] = []
        while len(done) < len(recipes):
            part = slice(len(done), len(done) + size)
            try:
                done += self._batch(recipes[part], photos[part])
            except (torch.OutOfMemoryError, MemoryError) as error:
                if size == 1:
                    raise GenerationError(
                        f"memory is too short for one image of {recipes[0].width}x{recipes[0].height}; "
                        "use --offload, --dtype float16 or a smaller --size"
                    ) from error
                size //= 2
                if self.device == "cuda":
                    torch.cuda.empty_cache()
        return done

    @torch.inference_mode()
    def _batch(self, recipes: Sequence[Recipe], photos: Sequence[Photo | None]) -> list[Rendered]:
        if self.settings.mode == VAE:
            return [self._round_trip(photo) for photo in photos if photo is not None]
        answer = self.pipe(**self._arguments(recipes, [photo for photo in photos if photo is not None]))
        flags = getattr(answer, "nsfw_content_detected", None) or [None] * len(recipes)
        return [
            Rendered(np.asarray(image.convert("RGB")), None if flag is None else bool(flag))
            for image, flag in zip(answer.images, flags, strict=True)
        ]

    def _arguments(self, recipes: Sequence[Recipe], photos: Sequence[Photo]) -> dict[str, Any]:
        """What this pipeline's call knows of: models differ in whether they read text, negatives, guidance, size."""
        first = recipes[0]
        possible: dict[str, Any] = {
            "prompt": [recipe.prompt for recipe in recipes],
            "negative_prompt": [recipe.negative for recipe in recipes],
            "batch_size": len(recipes),
            "generator": [torch.Generator("cpu").manual_seed(recipe.seed) for recipe in recipes],
            "num_inference_steps": first.steps, self.knob: first.guidance,
            "width": first.width, "height": first.height, "max_area": first.width * first.height, "output_type": "pil",
        }  # fmt: skip
        if photos:
            possible |= {"image": [Image.fromarray(photo.pixels) for photo in photos], "strength": first.strength}
            possible["mask_image"] = [Image.fromarray(photo.mask) for photo in photos]
        if self.adapters.face is not None:
            possible["ip_adapter_image"] = Image.fromarray(self.adapters.face)
        if not self.takes_negative:
            del possible["negative_prompt"]
        return {name: value for name, value in possible.items() if name in self.takes}

    def _round_trip(self, photo: Photo) -> Rendered:
        pixels = torch.from_numpy(photo.pixels.copy()).permute(2, 0, 1)[None].to(self.device, self.pipe.dtype)
        decoded = self.pipe.decode(self.pipe.encode(pixels / 127.5 - 1).latent_dist.mode()).sample
        grey = ((decoded[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return Rendered(grey.permute(1, 2, 0).cpu().numpy(), None)


def _device(asked: str) -> str:
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise GenerationError("there is no CUDA device here; use --device cpu")
    return asked


def _loaded(settings: Settings, dtype: torch.dtype) -> Any:
    import diffusers

    options: dict[str, Any] = {"dtype": dtype, "revision": settings.revision or None}
    if settings.mode == VAE:
        options["subfolder"] = "vae"
    place = located(settings.model)
    if looks_like_folder(settings.model) and not Path(place).is_dir():
        raise GenerationError(f"{place}: no such folder; give a folder in diffusers' layout or a hub id")
    try:
        return getattr(diffusers, LOADERS.get(settings.mode, "DiffusionPipeline")).from_pretrained(place, **options)
    except (OSError, ValueError, ImportError) as error:
        raise GenerationError(_unreachable(settings, error)) from error


def looks_like_folder(model: str) -> bool:
    """Hub ids are `owner/name`; anything else is meant as a path."""
    return model.startswith((".", "/", "~")) or model.count("/") != 1


def _unreachable(settings: Settings, error: Exception) -> str:
    reason = one_line(error)
    if re.search(r"gated|\b40[13]\b|restricted", str(error), re.IGNORECASE):
        page = f"https://huggingface.co/{settings.model}"
        return f"{settings.model} is gated: accept its terms at {page}, then `hf auth login`, and run again ({reason})"
    if Path(located(settings.model)).is_dir():
        return f"{settings.model} cannot be used for {settings.mode}: {reason}"
    return (
        f"cannot load {settings.model}: it is neither on this disk nor reachable on the hub ({reason}). Download it "
        f"where there is a network (`hf download {settings.model} --local-dir FOLDER`) and pass --model FOLDER, or use "
        f"--model {EMBEDDED_MODEL}, which ships with facecheck"
    )


def _scheduler(pipe: Any, name: str) -> Any:
    import diffusers

    found = getattr(diffusers, name, None)
    if found is None or not hasattr(found, "from_config"):
        known = sorted(each.__name__ for each in pipe.scheduler.compatibles)
        raise GenerationError(f"no scheduler named {name!r}; this model works with {', '.join(known)}")
    return found.from_config(pipe.scheduler.config)


def _own_side(pipe: Any) -> int:
    """Of the images that the network was trained on, 0 if unknown; an autoencoder counts pixels, a denoiser latents."""
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None) or pipe
    side = getattr(network.config, "sample_size", None)
    return side * _scale(pipe) if isinstance(side, int) else 0


def _scale(pipe: Any) -> int:
    """Pixels of an image for each of a latent."""
    if decoder := getattr(pipe, "vqvae", None):
        known = decoder.config
        return 1 << len(known.get("decoder_block_out_channels") or known["block_out_channels"]) - 1
    return int(getattr(pipe, "vae_scale_factor", 1))


def _snapshot(settings: Settings) -> Path:
    """The folder of the hub's cache that a model was loaded from; its name is the commit."""
    from huggingface_hub import try_to_load_from_cache

    name = "vae/config.json" if settings.mode == VAE else "model_index.json"
    cached = try_to_load_from_cache(settings.model, name, revision=settings.revision or None)
    if not isinstance(cached, str):
        raise GenerationError(f"{settings.model} was loaded, but its commit cannot be told; pass --revision COMMIT")
    return next(parent for parent in Path(cached).parents if parent.parent.name == "snapshots")


def _revision(folder: Path) -> str:
    """The hash of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors", ".txt", ".bin"))
    lines = (f"{path.relative_to(folder)} {sha256_of(path)}\n" for path in files)
    return f"sha256:{sha256_of(''.join(lines).encode())[:40]}"


def _readme_licence(folder: Path) -> str:
    readme = folder / "README.md"
    found = re.search(r"^licen[cs]e:\s*(\S+)", readme.read_text(encoding="utf-8"), re.M) if readme.is_file() else None
    return found[1] if found else "unknown"
