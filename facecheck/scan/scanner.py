"""The loop of a scan: what is not finished is read ahead by threads, judged in batches, and written at once."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING

from facecheck.errors import ScanError
from facecheck.scan.index import Known
from facecheck.scan.judging import Judge, Read
from facecheck.scan.ledger import Ledger
from facecheck.scan.prefetch import Prefetch
from facecheck.scan.rows import Candidate

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

BATCH_PICTURES = 16
BATCH_PIXELS = 24_000_000
AHEAD = 32
"""Files that threads may be ahead of the one that is judged; in pixels, a batch."""


class Rescore(StrEnum):
    """Files to do again though their row is there and they did not change."""

    NOTHING = "nothing"
    OTHERS = "others"
    ERRORS = "errors"
    ALL = "all"


@dataclass(frozen=True)
class Outcome:
    """What became of one file: verdict None means that it could not be read; known means that its row was there."""

    path: str
    verdict: str | None
    known: bool = False


class Scanner:
    """Brings a ledger up to date.

    Args:
        make_checker: called once, and only if there is something to judge.
        rescore: OTHERS: rows of another model or of other settings; ERRORS: files that could not be read; ALL.
        threads: that read ahead.

    Raises:
        ScanError: rows of other settings are there and `rescore` does not say what to do with them.
    """

    def __init__(
        self,
        ledger: Ledger,
        make_checker: "Callable[[], FaceChecker]",
        rescore: Rescore = Rescore.NOTHING,
        threads: int = 2,
    ) -> None:
        self.ledger, self.rescore, self.threads = ledger, rescore, threads
        self.judge = Judge(ledger.settings, make_checker)
        others = ledger.index.unfit()
        if others and rescore not in (Rescore.OTHERS, Rescore.ALL):
            raise ScanError(
                f"{others} row(s) of {ledger.path} were made by another model or with other settings than "
                f"{ledger.settings.described}; use --rescore others to do those files again, or another --out"
            )

    def run(self, paths: Iterable[str]) -> Generator[Outcome]:
        """One outcome for each path, in order, once its row is written; a path that comes twice counts once.

        Raises:
            ScanError: the ledger cannot be written. ModelError, DeviceError: the checker cannot be made.
        """
        # Closed by name: after an interruption no thread may look anything up in a ledger that is closed.
        with closing(self._read_ahead(self.candidates(paths))) as reading:
            for batch in batches(reading):
                yield from self._finished(batch)

    def _finished(self, batch: list[Read | Known]) -> list[Outcome]:
        reads = [item for item in batch if isinstance(item, Read)]
        rows = self.judge.rows(reads) if reads else []
        self.ledger.append(rows)
        made = iter(rows)
        return [
            Outcome(item.candidate.path, next(made)["verdict"])
            if isinstance(item, Read)
            else Outcome(item.candidate.path, item.verdict, known=True)
            for item in batch
        ]

    def candidates(self, paths: Iterable[str]) -> Iterator[Candidate | Known]:
        """Each path once: as a candidate if there is something to do, else as what is known of it."""
        for path in paths:
            if self.ledger.index.claim(path):
                candidate = Candidate.at(path)
                known = None if self.rescore == Rescore.ALL else self.ledger.finished(candidate)
                again = known is None or (self.rescore == Rescore.ERRORS and known.verdict is None)
                yield candidate if known is None or again else known

    def _read_ahead(self, candidates: Iterator[Candidate | Known]) -> Generator[Read | Known]:
        # No thread is started for files that are all known.
        for first in candidates:
            if isinstance(first, Candidate):
                candidates = chain([first], candidates)
                break
            yield first
        else:
            return
        with Prefetch(
            candidates, self._read, _weight, threads=self.threads, ahead=AHEAD, heaviest=BATCH_PIXELS
        ) as reading:
            _ = self.judge.checker  # Loaded while the first files are being read.
            yield from reading

    def _read(self, item: Candidate | Known) -> Read | Known:
        return item if isinstance(item, Known) else self.judge.read(item)


def _weight(item: Read | Known) -> int:
    return item.pixels if isinstance(item, Read) else 0


def batches(items: Iterable[Read | Known]) -> Iterator[list[Read | Known]]:
    """Runs of items that are judged together: up to 16 pictures or 24 MP; a clip ends one."""
    batch: list[Read | Known] = []
    pixels = 0
    for item in items:
        batch.append(item)
        pixels += _weight(item)
        is_clip = isinstance(item, Read) and item.opened is None
        all_known = not any(isinstance(one, Read) for one in batch)
        if len(batch) >= BATCH_PICTURES or pixels >= BATCH_PIXELS or is_clip or all_known:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
