"""Candidates -> rows: reading, and judging in batches that fit into memory; several threads may do both at once."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facecheck.errors import FacecheckError, ModelError
from facecheck.scan.rows import Candidate, Row, Settings, failed_row, hash_of, row_of

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker
    from facecheck.reading import Opened


BATCH_PICTURES = 16
BATCH_PIXELS = 6_000_000


@dataclass(frozen=True)
class Read:
    """A candidate after reading. `opened` is None for a clip, whose frames are read while it is judged."""

    candidate: Candidate
    opened: "Opened | None"
    sha256: str | None = None

    @property
    def pixels(self) -> int:
        """Area of the decoded picture; 0 without one."""
        return 0 if self.opened is None else self.opened.area


class Judge:
    """Makes rows. Safe to use from several threads once `checker` is loaded; see `side_by_side`.

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

    def side_by_side(self) -> "Judge":
        """The same for `checker.backend.lanes` threads at once; see `FaceChecker.side_by_side`."""
        other = copy.copy(self)
        other.__dict__["checker"] = self.checker.side_by_side()
        return other

    def judged(self, candidates: Sequence[Candidate]) -> list[Row]:
        """One row for each, in order; no more of them are in memory at once than is needed."""
        return [row for batch in batches(self.read(item) for item in candidates) for row in self.rows(batch)]

    def read(self, candidate: Candidate) -> Read:
        """Decode a picture, or see that it is a clip; a file that cannot be read says so in `opened.error`."""
        from facecheck.reading import opened
        from facecheck.video.containers import is_clip_file

        sha256 = hash_of(candidate.path) if self.settings.sha256 and candidate.size is not None else None
        if is_clip_file(candidate.path):
            return Read(candidate, None, sha256)
        return Read(candidate, opened(Path(candidate.path)), sha256)

    def rows(self, reads: Sequence[Read]) -> list[Row]:
        """One row for each, in order."""
        pictures = iter(self._picture_rows([read for read in reads if read.opened is not None]))
        return [self._clip_row(read) if read.opened is None else next(pictures) for read in reads]

    def _picture_rows(self, reads: Sequence[Read]) -> list[Row]:
        checker = self.checker  # Outside: a model that cannot be loaded is no fault of the pictures.
        try:
            predictions = checker.judge_batch([read.opened for read in reads if read.opened is not None])
        except Exception as error:
            # One picture that trips a network must not take fifteen others with it.
            return [self._failed(reads[0], error)] if len(reads) == 1 else [self._picture_rows([r])[0] for r in reads]
        return [
            row_of(read.candidate, replace(prediction, model=self.settings.model), read.sha256)
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
        told = str(error) if isinstance(error, FacecheckError) else f"{path}: could not be judged ({error!r})"
        return failed_row(read.candidate, self.settings, told, read.sha256)


def batches(reads: Iterable[Read]) -> Iterator[list[Read]]:
    """Runs of files that are judged together: up to 16 pictures or 6 MP; a clip ends one."""
    batch: list[Read] = []
    for read in reads:
        batch.append(read)
        full = len(batch) >= BATCH_PICTURES or sum(item.pixels for item in batch) >= BATCH_PIXELS
        if full or read.opened is None:
            yield batch
            batch = []
    if batch:
        yield batch
