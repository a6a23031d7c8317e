"""When to send the next request: back-off after failures, and at most so many requests a minute."""

import email.utils
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST = 600.0
"""Seconds; a server that asks for more is better asked another day."""


@dataclass(frozen=True)
class Backoff:
    """Waiting times that double, with jitter (Brooker 2015), and what the server asks for, if it does.

    Attributes:
        retries: how often a request is sent again.
        base: seconds before the first repetition.
        sleep: how to wait.
    """

    retries: int = 6
    base: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def seconds(self, failures: int, headers: Mapping[str, str]) -> float:
        """How long to wait after so many failures in a row; never less than the `Retry-After` of `headers`."""
        usual = min(self.base * 2.0 ** (failures - 1), LONGEST) * random.uniform(0.5, 1)
        return max(usual, retry_after(headers))


@dataclass
class Pace:
    """Spaces requests evenly.

    Attributes:
        per_minute: requests; 0 for no limit.
        sleep: how to wait.
        clock: seconds that only go up.
    """

    per_minute: float = 0.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

    def wait(self) -> None:
        """Return when the next request may be sent."""
        if self.per_minute:
            now = self.clock()
            if now < self._next:
                self.sleep(self._next - now)
            self._next = max(now, self._next) + 60 / self.per_minute


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait: milliseconds, seconds or a date; 0 if it says nothing.

    Header names must be found whatever their case, as in `httpx2.Headers`.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(float(headers[name]) / unit, 0.0)
        except (KeyError, ValueError):
            continue
    try:
        moment = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(moment.timestamp() - time.time(), 0.0)
    except (KeyError, ValueError, OverflowError):
        return 0.0
