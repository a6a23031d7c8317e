"""Candidates -> rows: reading, and judging in batches that fit into memory; several threads may do both at once."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facecheck import batching
from facecheck.errors import FacecheckError, ModelError
from facecheck.scan.inputs import is_address
from facecheck.scan.rows import Candidate, Row, Settings, failed_row, hash_of, row_of

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker
    from facecheck.decoding import Pixels

FLAT = 2.0
"""Grey levels; below this deviation a picture has no fingerprint."""


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
        from facecheck.video.containers import is_clip_file

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
