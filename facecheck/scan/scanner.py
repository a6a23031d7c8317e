"""The loop of a scan: threads read and judge what is not finished, a few files each; rows are written at once."""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from facecheck.batching import WORKER_BYTES, WORKER_PICTURES
from facecheck.errors import ScanError
from facecheck.scan.ledger import Known, ScanLedger
from facecheck.scan.rows import Candidate, Judge, Row

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

GROUP_FILES = 256
"""With the known ones among them: rows of new files do not wait for the end of a long run of known ones."""
AHEAD = 4
"""Groups for each thread that may be finished before the one that is written next."""

Item = TypeVar("Item")
Done = TypeVar("Done")
PREFETCHING = "prefetch"
"""How the names of the threads begin."""
JOIN_TIMEOUT_S = 1.0
"""How long to wait for threads that are in the middle of a file."""

Group = list[Candidate | Known]


class Rescore(StrEnum):
    """Files to do again though their row is there and they did not change."""

    NOTHING = "nothing"
    OTHERS = "others"
    ERRORS = "errors"
    ALL = "all"


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        verdict: None: it could not be read.
        known: its row was there. vanished: it was removed before it was read, and has no row.
    """

    path: str
    verdict: str | None
    known: bool = False
    vanished: bool = False


class Scanner:
    """Brings a ledger up to date.

    Args:
        make_checker: called once, and only if there is something to judge.
        rescore: OTHERS: rows of another model or of other settings; ERRORS: files that could not be read; ALL.
        threads: that read and judge; None: as many workers as the checker's engine wants.

    Raises:
        ScanError: rows of other settings are there and `rescore` does not say what to do with them.
    """

    def __init__(
        self,
        ledger: ScanLedger,
        make_checker: "Callable[[], FaceChecker]",
        rescore: Rescore = Rescore.NOTHING,
        threads: int | None = None,
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
        with closing(self._finished(groups(self.candidates(paths)))) as finished:
            for group, rows in finished:
                gone = {row["path"] for row in rows if _has_vanished(row)}
                self.ledger.append(row for row in rows if row["path"] not in gone)
                made = iter(rows)
                for item in group:
                    if isinstance(item, Known):
                        yield Outcome(item.candidate.path, item.verdict, known=True)
                    else:
                        yield Outcome(item.path, next(made)["verdict"], vanished=item.path in gone)

    def candidates(self, paths: Iterable[str]) -> Iterator[Candidate | Known]:
        """Each path once: as a candidate if there is something to do, else as what is known of it."""
        for path in paths:
            if self.ledger.index.claim(path):
                candidate = Candidate.at(path)
                known = None if self.rescore == Rescore.ALL else self.ledger.finished(candidate)
                again = known is None or (self.rescore == Rescore.ERRORS and known.verdict is None)
                yield candidate if known is None or again else known

    def _finished(self, waiting: Iterator[Group]) -> Generator[tuple[Group, list[Row]]]:
        """Groups with their new rows, in order."""
        # No thread is started for files that are all known.
        for first in waiting:
            if any(isinstance(item, Candidate) for item in first):
                waiting = chain([first], waiting)
                break
            yield first, []
        else:
            return
        judge = self.judge.for_workers()
        threads = self.threads or judge.checker.classifier.workers

        def work(group: Group) -> tuple[Group, list[Row]]:
            return group, judge.judged([item for item in group if isinstance(item, Candidate)])

        with Prefetch(waiting, work, threads=threads, ahead=AHEAD * threads) as finished:
            yield from finished


def _has_vanished(row: Row) -> bool:
    """Whether a file that could not be read was there before, and is no more."""
    return row["error"] is not None and row["size"] is not None and not os.path.lexists(row["path"])


def groups(items: Iterable[Candidate | Known]) -> Iterator[Group]:
    """Runs of items that are done together: few that have to be judged, with the known ones between them."""
    group: Group = []
    new = size = 0
    for item in items:
        group.append(item)
        if isinstance(item, Candidate):
            new, size = new + 1, size + (item.size or 0)
        if not new or new >= WORKER_PICTURES or size >= WORKER_BYTES or len(group) >= GROUP_FILES:
            yield group
            group, new, size = [], 0, 0
    if group:
        yield group


class Prefetch(Generic[Item, Done]):
    """Work done ahead: iterate to get `work(item)` for each item, in order. Use as a context manager.

    At any time at most `ahead` items are begun and not yet given out. An exception of `items` or `work` is raised to
    whoever iterates.

    Args:
        items: taken one at a time, as work begins; by any thread, never by two at once.
    """

    def __init__(
        self,
        items: Iterable[Item],
        work: Callable[[Item], Done],
        *,
        threads: int,
        ahead: int,
    ) -> None:
        self._items, self._work, self._ahead = iter(items), work, ahead
        self._waiting: dict[int, tuple[Done | None, BaseException | None]] = {}
        self._begun = self._given = 0
        self._over = False
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        # Daemons: a decoder that hangs must not keep a scan that was interrupted alive.
        self._threads = [
            threading.Thread(target=self._run, name=f"{PREFETCHING}-{number}", daemon=True) for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        for thread in self._threads:
            thread.join(timeout=max(deadline - time.monotonic(), 0))

    def __iter__(self) -> Iterator[Done]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given in self._waiting or self._is_done())
                if self._given not in self._waiting:
                    return
                done, error = self._waiting.pop(self._given)
                self._given += 1
                self._changed.notify_all()
            if error is not None:
                raise error
            if done is not None:
                yield done
                del done

    def _is_done(self) -> bool:
        return self._over and self._begun == self._given

    def _may_begin(self) -> bool:
        return self._over or self._begun - self._given < self._ahead

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            number, item = taken
            try:
                result: tuple[Done | None, BaseException | None] = self._work(item), None
            except BaseException as error:
                result = None, error
            with self._changed:
                self._waiting[number] = result
                self._changed.notify_all()
            del taken, item, result

    def _take(self) -> tuple[int, Item] | None:
        with self._taking:
            with self._changed:
                self._changed.wait_for(self._may_begin)
                if self._over:
                    return None
            try:
                item = next(self._items)  # May wait for a pipe: results must get through meanwhile.
            except BaseException as problem:
                self._end(None if isinstance(problem, StopIteration) else problem)
                return None
            with self._changed:
                number, self._begun = self._begun, self._begun + 1
            return number, item

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            if error is not None:
                self._waiting[self._begun] = None, error
                self._begun += 1
            self._over = True
            self._changed.notify_all()
