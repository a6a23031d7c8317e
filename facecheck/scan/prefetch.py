"""Work that threads do ahead of whoever needs its results, in order and within a bound."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")
PREFETCHING = "prefetch"
"""How the names of the threads begin."""
JOIN_TIMEOUT_S = 1.0
"""How long to wait for threads that are in the middle of a file."""


class Prefetch(Generic[Item, Done]):
    """Iterate to get `work(item)` for each item, in the order of the items. Use as a context manager.

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
