"""What a scan writes about one file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.errors import ModelError
from facecheck.files import sha256_of
from facecheck.model.files import DEFAULT_MODEL, model_files
from facecheck.result import ModelInfo, Prediction

Row = dict[str, Any]
PICTURE, CLIP = "picture", "clip"


@dataclass(frozen=True)
class Settings:
    """What a row depends on besides its file.

    Attributes:
        model: as the config beside the weights names it; read without loading the weights.
        max_fpr: false-accusation budget; None: the model's own threshold.
        every_s: seconds between the frames of a clip that are looked at; None: see `facecheck.video.frames.ClipLimits`.
        sha256: whether rows hold the hash of their file.
        prevalence: share of generated faces that the chances of error in the rows hold for.
    """

    model: ModelInfo
    max_fpr: float | None = None
    every_s: float | None = None
    sha256: bool = False
    prevalence: float = DEFAULT_PREVALENCE

    @property
    def described(self) -> str:
        """For messages."""
        budget = "" if self.max_fpr is None else f", --max-fpr {self.max_fpr:g}"
        model = f"{self.model.name} {self.model.version}, sha256 {self.model.sha256[:12]}"
        every = "" if self.every_s is None else f", --every {self.every_s:g}"
        share = "" if self.prevalence == DEFAULT_PREVALENCE else f", --prevalence {self.prevalence:g}"
        return f"{model}{budget}{every}{', --sha256' if self.sha256 else ''}{share}"

    @cached_property
    def _model(self) -> Row:
        """As rows name it; made once, for a ledger may have a million rows."""
        return asdict(self.model)

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether these settings would make the same row again."""
        budget, clip = row["budget"], row["clip"]
        chances = [face["expected_error"] for face in row.get("faces") or () if face.get("expected_error")]
        return bool(
            row["model"] == self._model
            and (row["error"] is not None or (None if budget is None else budget["max_fpr"]) == self.max_fpr)
            and (clip is None or clip["every_s"] == self.every_s)
            and (not self.sha256 or row["sha256"] is not None or row["error"] is not None)
            # Rows of 0.2.0 hold chances of another kind.
            and all(chance.get("prevalence") == self.prevalence for chance in chances)
        )


@dataclass(frozen=True)
class Candidate:
    """A file as it is now; size (bytes) and mtime_ns are None where there is none."""

    path: str
    size: int | None
    mtime_ns: int | None

    @classmethod
    def at(cls, path: str) -> Self:
        """The file at a path; links are followed."""
        try:
            found = Path(path).stat()
        except (OSError, ValueError):
            return cls(path, None, None)
        return cls(path, found.st_size, found.st_mtime_ns)


def model_info(name_or_path: str | None) -> ModelInfo:
    """What the config says of a model, without loading the weights.

    Raises:
        ModelError: no such model, or no such config.
    """
    _, config = model_files(name_or_path or DEFAULT_MODEL)
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
        return ModelInfo(str(values["name"]), str(values["version"]), str(values["sha256"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{config} is not a model config of facecheck ({error!r})") from error


def row_of(
    candidate: Candidate,
    prediction: Prediction,
    sha256: str | None,
    clip: Row | None = None,
    fingerprint: str | None = None,
) -> Row:
    """The row of a file: `Prediction.to_dict` with the facts about the file in place of `source`.

    Args:
        clip: for a video, what `facecheck.video` says of it.
        fingerprint: see `facecheck.scan.judging.fingerprint`.
    """
    values = prediction.to_dict()
    del values["source"]
    width, height = values.pop("size") or (None, None)
    file: Row = {"path": candidate.path, "kind": CLIP if clip else PICTURE}
    file |= {"size": candidate.size, "mtime_ns": candidate.mtime_ns, "sha256": sha256, "fingerprint": fingerprint}
    return file | values | {"width": width, "height": height, "clip": clip}


def prediction_of(row: Mapping[str, Any]) -> Prediction:
    """The answer that `row_of` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is no such row.
    """
    size = None if row["width"] is None else (row["width"], row["height"])
    return Prediction.from_dict({**row, "source": row["path"], "size": size})


def failed_row(candidate: Candidate, settings: Settings, error: str, sha256: str | None = None) -> Row:
    """The row of a file that could not be judged."""
    return row_of(candidate, Prediction(candidate.path, model=settings.model, error=error), sha256)


def hash_of(path: str) -> str | None:
    """sha256 of a file in hexadecimal; None if it cannot be read, or is no file: a pipe would never end."""
    try:
        if not Path(path).is_file():
            return None
        return sha256_of(Path(path))
    except (OSError, ValueError):
        return None
