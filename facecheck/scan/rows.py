"""What a scan writes about one file, and how it comes to be: reading, and judging in batches that fit into memory."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from facecheck import batching
from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.errors import FacecheckError, ModelError
from facecheck.files import sha256_of
from facecheck.model import DEFAULT_MODEL, model_files
from facecheck.result import ModelInfo, Prediction
from facecheck.scan.inputs import is_address

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker
    from facecheck.decoding import Pixels

Row = dict[str, Any]
PICTURE, CLIP = "picture", "clip"
FLAT = 2.0
"""Grey levels; below this deviation a picture has no fingerprint."""


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
        fingerprint: see `facecheck.scan.rows.fingerprint`.
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


@dataclass(frozen=True)
class Read:
    """A candidate after reading. `decoded` is None for a clip, whose frames are read while it is judged."""

    candidate: Candidate
    decoded: batching.Decoded | None
    sha256: str | None = None


class Judge:
    """Makes rows. Safe to use from several threads once `checker` is loaded; see `for_workers`.

    Args:
        make_checker: called once, when the first batch is to be judged.
    """

    def __init__(self, settings: Settings, make_checker: "Callable[[], FaceChecker]") -> None:
        self.settings, self._make_checker = settings, make_checker

    @cached_property
    def checker(self) -> "FaceChecker":
        """Loaded on first use.

        Raises:
            ModelError: it is not the model of the settings.
        """
        checker = self._make_checker()
        if checker.config.sha256 != self.settings.model.sha256:
            raise ModelError(
                f"the model here has sha256 {checker.config.sha256}, the scan has {self.settings.model.sha256}; "
                "install the same model everywhere, and do not replace it during a scan"
            )
        return checker

    def for_workers(self) -> "Judge":
        """The same for `checker.classifier.workers` threads at once; see `FaceChecker.for_workers`."""
        other = copy.copy(self)
        other.__dict__["checker"] = self.checker.for_workers()
        return other

    def judged(self, candidates: Sequence[Candidate]) -> list[Row]:
        """One row for each, in order; no more of them are in memory at once than is needed."""
        return [row for batch in batches(self.read(item) for item in candidates) for row in self.rows(batch)]

    def read(self, candidate: Candidate) -> Read:
        """Decode a picture, or see that it is a clip; a file that cannot be read says so in `decoded.error`."""
        from facecheck.video import is_clip_file

        sha256 = hash_of(candidate.path) if self.settings.sha256 and candidate.size is not None else None
        if is_clip_file(candidate.path):
            return Read(candidate, None, sha256)
        return Read(
            candidate, batching.decode(candidate.path if is_address(candidate.path) else Path(candidate.path)), sha256
        )

    def rows(self, reads: Sequence[Read]) -> list[Row]:
        """One row for each, in order."""
        pictures = iter(self._picture_rows([read for read in reads if read.decoded is not None]))
        return [self._clip_row(read) if read.decoded is None else next(pictures) for read in reads]

    def _picture_rows(self, reads: Sequence[Read]) -> list[Row]:
        checker = self.checker  # Outside: a model that cannot be loaded is no fault of the pictures.
        try:
            predictions = checker.judge_batch([read.decoded for read in reads if read.decoded is not None])
        except Exception as error:
            # One picture that trips a network must not take fifteen others with it.
            return [self._failed(reads[0], error)] if len(reads) == 1 else [self._picture_rows([r])[0] for r in reads]
        return [
            row_of(
                read.candidate,
                replace(prediction, model=self.settings.model),
                read.sha256,
                fingerprint=None if read.decoded is None else fingerprint(read.decoded.pixels),
            )
            for read, prediction in zip(reads, predictions, strict=True)
        ]

    def _clip_row(self, read: Read) -> Row:
        from facecheck.video.frames import ClipLimits
        from facecheck.video.judging import judge_clip

        checker = self.checker
        try:
            judged = judge_clip(read.candidate.path, checker, ClipLimits(every_s=self.settings.every_s))
        except Exception as error:  # Any decoder, any exception; see facecheck.image.
            return self._failed(read, error)
        prediction = replace(judged.prediction, model=self.settings.model)
        return row_of(read.candidate, prediction, read.sha256, judged.to_dict())

    def _failed(self, read: Read, error: Exception) -> Row:
        path = read.candidate.path
        message = str(error) if isinstance(error, FacecheckError) else f"{path}: could not be judged ({error!r})"
        return failed_row(read.candidate, self.settings, message, read.sha256)


def batches(reads: Iterable[Read]) -> Iterator[list[Read]]:
    """Runs of files that are judged together, see `facecheck.batching.batches`; a clip ends one."""
    return batching.batches(reads, lambda read: batching.BATCH_PIXELS if read.decoded is None else read.decoded.area)


def fingerprint(pixels: "Pixels | None") -> str | None:
    """What copies of a picture share though they were saved or resized again: a 64-bit pHash, 16 hexadecimal digits.

    The 8 x 8 lowest frequencies of the cosine transform of 32 x 32 grey pixels, above or below their median (Zauner
    2010, "Implementation and benchmarking of perceptual image hash functions").

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Returns:
        None without a picture, and for one that is nearly of one colour: those are no copies of each other.
    """
    import cv2
    import numpy as np

    if pixels is None:
        return None
    small = cv2.cvtColor(cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    if small.std() < FLAT:
        return None
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return np.packbits(low > np.median(low)).tobytes().hex()
