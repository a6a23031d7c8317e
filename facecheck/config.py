"""What stands beside a model's weights, read and checked without torch: its config and its error rates."""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from facecheck.architectures import IMAGENET_MEAN, IMAGENET_STD, Channels
from facecheck.calibration import Decision
from facecheck.errors import ModelError
from facecheck.evidence.error_rates import ErrorTable
from facecheck.files import DEFAULT_MODEL, model_files

LARGEST_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Beyond these the measured error is not acceptable and the answer is `uncertain`; units: `facecheck.quality`."""

    min_face_px: float = 0.0
    min_sharpness: float = 0.0
    max_blockiness: float = 1e9
    max_outside: float = 1.0


@dataclass(frozen=True)
class ModelConfig:
    """Everything a checkpoint needs at inference.

    Attributes:
        input_size: side of the square input, pixels.
        crop_margin: side of the crop as a multiple of the longer side of the face box.
        mean, std: per RGB channel, for pixels in [0, 1].
        classes: what logits below and above zero speak for.
        sha256: of the .safetensors file; empty only while a model is being made.
    """

    name: str
    version: str
    architecture: str = "resnet50"
    input_size: int = 224
    crop_margin: float = 1.3
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    classes: tuple[str, str] = ("real", "fake")
    decision: Decision = field(default_factory=Decision)
    limits: Limits = field(default_factory=Limits)
    licence: str = ""
    training_data: tuple[str, ...] = ()
    sha256: str = ""

    def to_json(self) -> str:
        """The config as JSON text, keys in the order of the fields."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The config that `to_json` wrote.

        Raises:
            ModelError: not JSON, a field unknown, missing or of the wrong kind.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            for key in ("mean", "std", "classes", "training_data"):
                if key in values:
                    values[key] = tuple(values[key])
            values["decision"] = Decision.from_dict(values.get("decision", {}))
            values["limits"] = Limits(**values.get("limits", {}))
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"not a facecheck model config: {error}; expected the JSON that ModelConfig.to_json writes"
            ) from error


@dataclass(frozen=True)
class Stored:
    """A model as it lies on the disk: its files belong together, its network is not built.

    Attributes:
        path: of the weights. data: their bytes.
        errors: how often it is wrong; empty where that was not measured on these weights.
    """

    path: Path
    config: ModelConfig
    errors: ErrorTable
    data: bytes = field(repr=False)


def read_model(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Stored:
    """Read a model's files; what `facecheck.models.load_model` says of its arguments and errors holds here.

    Raises:
        ModelError: no such model, or the weights are not those that the config was written for (sha256).
    """
    weights_path, config_path = model_files(name_or_path)
    if config_path.stat().st_size > LARGEST_CONFIG_BYTES:
        raise ModelError(f"{config_path} is {config_path.stat().st_size} bytes; a model config is a small JSON file")
    config = ModelConfig.from_json(config_path.read_text(encoding="utf-8", errors="replace"))
    data = weights_path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != config.sha256:
        raise ModelError(
            f"{weights_path} has sha256 {digest}, its config expects {config.sha256 or 'none'}; "
            "the file is damaged or belongs to another config: install facecheck again or copy both files together"
        )
    return Stored(weights_path, config, _error_table(weights_path.with_suffix(".errors.json"), digest), data)


def _error_table(path: Path, sha256: str) -> ErrorTable:
    """The table, if it was measured on these very weights."""
    if not path.is_file() or path.stat().st_size > LARGEST_CONFIG_BYTES:
        return ErrorTable()
    try:
        table = ErrorTable.from_json(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        raise ModelError(f"{path}: {error}; measure it again, or remove it") from error
    return table if table.sha256 == sha256 else ErrorTable()
