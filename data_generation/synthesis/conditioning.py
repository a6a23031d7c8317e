"""What a model is given beside a prompt: a photograph that it begins with, weights that are added, a face to keep.

A photograph is given as a square around its largest face. It is kept in the same square and size beside what was made
of it, so that a pair differs in nothing but the generation (Rajan et al. 2025, "Aligned datasets improve detection of
latent diffusion-generated images"). Of a face that an adapter keeps (IP-Adapter, Ye et al. 2023) only a hash is kept.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_generation import GenerationError
from data_generation.synthesis import Settings
from data_generation.synthesis.families import FACE_KEEPERS, FACE_PIPELINES, Family
from facecheck import crop, image
from facecheck.detection.detector import FaceDetector
from facecheck.errors import ImageError
from facecheck.files import sha256_of
from training.faces.layouts import Defaults, Found, LayoutError, recognise
from training.faces.layouts import Photo as LabelledPhoto

Pixels = npt.NDArray[np.uint8]
MARGIN = 1.8
FACE_PX = 512
"""Side of a face that an adapter is shown; its encoder takes 224 to 384 of them."""
ENCODER = "image_encoder"
NO_FACES = f"{{}} takes no face adapter; these families do: {FACE_KEEPERS}"
REAL, TREE = "real", "folder"
"""As `training.faces.layouts` calls a photograph, and a folder that the caller gave a label to."""


@dataclass(frozen=True)
class Photo:
    """A photograph as a model gets it.

    Attributes:
        pixels: (S, S, 3) uint8 RGB. mask: (S, S) uint8, 255 where inpainting paints: an ellipse over the face.
    """

    pixels: Pixels
    mask: Pixels


@dataclass(frozen=True)
class Listed:
    """The pictures of a folder, without those that it calls fake.

    Attributes:
        photographs: known as such, or nothing is known of them.
        fakes: how many are left out.
    """

    photographs: tuple[LabelledPhoto, ...]
    fakes: int

    @property
    def paths(self) -> list[Path]:
        """Of the photographs."""
        return [photo.path for photo in self.photographs]

    @property
    def note(self) -> str:
        """For the screen; empty where nothing is left out."""
        return f"{self.fakes} pictures left out: they are called fake" if self.fakes else ""


def listed(folder: Path) -> Listed:
    """All pictures below a folder; where it tells photographs from fakes, it is understood as `training prepare` does.

    Raises:
        GenerationError: there is no photograph, or a table has labels that can be read either way.
    """
    try:
        found = recognise(folder)
    except LayoutError:
        found = _taken_for_photographs(folder)
    photographs = tuple(photo for photo in found.photos if photo.label == REAL)
    if not photographs:
        raise GenerationError(f"{folder} holds no photograph: all of its {len(found.photos)} pictures are called fake")
    return Listed(photographs, len(found.photos) - len(photographs))


def _taken_for_photographs(folder: Path) -> Found:
    """As `recognise`, where the caller says that what has no label is a photograph."""
    try:
        found = recognise(folder, Defaults(label=REAL))
    except LayoutError as error:
        raise GenerationError(str(error)) from error
    if found.layout != TREE:
        raise GenerationError(
            f"{folder}: its table does not say in words which pictures are photographs; name the folder of these alone"
        )
    return found


def prepared(path: Path, side: int, detector: FaceDetector) -> Photo | None:
    """The photograph cut around its largest face and brought to `side` pixels; None without a readable face."""
    try:
        picture = image.load(path)
    except ImageError:
        return None
    faces = detector.detect([picture])[0]
    if not len(faces):
        return None
    height, width = picture.shape[:2]
    x0, y0, x1, _ = crop.square(faces.boxes[0], width, height, MARGIN)
    return Photo(
        crop.face(picture, faces.boxes[0], side, MARGIN),
        _ellipse((faces.boxes[0] - (x0, y0) * 2) * side / (x1 - x0), side),
    )


def _ellipse(box: npt.NDArray[np.float64], side: int) -> Pixels:
    mask = np.zeros((side, side), dtype=np.uint8)
    centre, axes = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    cv2.ellipse(
        mask, tuple(centre.round().astype(int).tolist()), tuple(axes.round().astype(int).tolist()), 0, 0, 360, 255, -1
    )
    return mask


@dataclass(frozen=True)
class Adapters:
    """What was added to a pipeline.

    Attributes:
        face: (S, S, 3) uint8 RGB that every image keeps; None without one.
        options: what a recipe says of them: hashes of files, and the scale.
    """

    face: Pixels | None = None
    options: dict[str, Any] = field(default_factory=dict)


def check_adapter(family: Family | None, settings: Settings) -> None:
    """Refuse a face adapter that cannot be used, before gigabytes of the model are downloaded.

    Raises:
        GenerationError: the family takes none, or the file is none.
    """
    if settings.face_adapter:
        if family and family.pipeline not in FACE_PIPELINES:
            raise GenerationError(NO_FACES.format(family.name))
        _adapter_file(Path(settings.face_adapter))


def add_adapters(pipe: Any, settings: Settings) -> Adapters:
    """Add the LoRA and the face adapter of `settings` to a pipeline of diffusers.

    Raises:
        GenerationError: the pipeline takes none, the file is none or does not fit, or the photograph shows no face.
    """
    options: dict[str, Any] = {}
    if settings.lora:
        _add_lora(pipe, settings.lora)
        options["lora"] = sha256_of(Path(settings.lora))
    if not settings.face_adapter:
        return Adapters(None, options)
    if not hasattr(pipe, "load_ip_adapter"):
        raise GenerationError(NO_FACES.format(type(pipe).__name__))
    path, photo = _adapter_file(Path(settings.face_adapter)), Path(settings.face)
    shown = prepared(photo, FACE_PX, FaceDetector())
    if shown is None:
        raise GenerationError(f"{photo} is unreadable, or no face was found in it; pass another --face")
    options |= {"face": sha256_of(photo), "face_adapter": sha256_of(path), "face_scale": settings.face_scale}
    if getattr(pipe, ENCODER, None) is None:
        encoder = _encoder_folder(path)
        _add_encoder(pipe, encoder)
        options["face_encoder"] = sha256_of(encoder / "model.safetensors")
    _add_face_adapter(pipe, path, settings.face_scale)
    return Adapters(shown.pixels, options)


def _add_lora(pipe: Any, path: str) -> None:
    if not hasattr(pipe, "load_lora_weights"):
        raise GenerationError(f"{type(pipe).__name__} takes no LoRA; leave --lora out")
    try:
        pipe.load_lora_weights(path)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if "PEFT" in str(error):
            raise GenerationError("--lora needs peft: pip install 'facecheck[generation]'") from error
        raise GenerationError(f"{path} does not fit {type(pipe).__name__}: {one_line(error)}") from error


def _adapter_file(path: Path) -> Path:
    """The file of an adapter that reads pictures, named by itself or by its folder."""
    found = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if len(found) != 1:
        there = ", ".join(each.name for each in found) or "none"
        raise GenerationError(f"{path} holds {there}: name one file of safetensors with --face-adapter")
    if found[0].suffix != ".safetensors":
        raise GenerationError(
            f"{found[0]} may be pickled, and what is pickled can run code: get the adapter as .safetensors, or convert "
            "it on a machine that you can lose"
        )
    names = _projection(found[0])
    if not names:
        raise GenerationError(f"{found[0]} is no IP-Adapter: it projects no image")
    is_plain = bool(names & {"proj.weight", "proj.3.weight"})
    if "perceiver_resampler.proj_in.weight" in names or ("norm.weight" in names and not is_plain):
        raise GenerationError(
            f"{found[0]} is a FaceID adapter: it wants the vectors of a face recogniser that facecheck does not have; "
            "take one that reads pictures, such as ip-adapter-plus-face or ip-adapter-full-face"
        )
    return found[0]


def _projection(path: Path) -> set[str]:
    """Names of the weights that turn an encoded picture into tokens, in the words of h94/IP-Adapter or of XLabs."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [re.match(r"(?:image_proj|ip_adapter_proj_model)\.(.+)", name) for name in file.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise GenerationError(f"{path} is no file of safetensors ({one_line(error)})") from error
    return {name[1] for name in names if name}


def _encoder_folder(adapter: Path) -> Path:
    """Beside the adapter, or one folder further up, as in h94/IP-Adapter."""
    places = (adapter.parent / ENCODER, adapter.resolve().parent.parent / ENCODER)
    for place in places:
        if (place / "config.json").is_file() and (place / "model.safetensors").is_file():
            return place
    raise GenerationError(
        f"{adapter} needs the image encoder that it was trained with: put its config.json and model.safetensors into "
        f"{places[0]}"
    )


def _add_encoder(pipe: Any, folder: Path) -> None:
    import transformers
    from diffusers.loaders import SD3IPAdapterMixin

    is_siglip = isinstance(pipe, SD3IPAdapterMixin)
    kind = transformers.SiglipVisionModel if is_siglip else transformers.CLIPVisionModelWithProjection
    try:
        encoder = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, dtype=pipe.dtype)
    except (OSError, ValueError, RuntimeError) as error:
        raise GenerationError(f"{folder} is no {kind.__name__}: {one_line(error)}") from error
    side = encoder.config.image_size
    if is_siglip:
        reader = transformers.SiglipImageProcessor(size={"height": side, "width": side})
    else:
        reader = transformers.CLIPImageProcessor(size=side, crop_size=side)
    pipe.register_modules(image_encoder=encoder.eval(), feature_extractor=pipe.feature_extractor or reader)


def _add_face_adapter(pipe: Any, path: Path, scale: float) -> None:
    try:
        pipe.load_ip_adapter(str(path.parent), subfolder="", weight_name=path.name, local_files_only=True)
        pipe.set_ip_adapter_scale(scale)
    except (OSError, LookupError, RuntimeError, ValueError, AttributeError, TypeError) as error:
        raise GenerationError(f"{path} does not fit {type(pipe).__name__}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The beginning of what an error says."""
    return re.sub(r"\s+", " ", str(error))[:200]
