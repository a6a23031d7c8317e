"""What the client of a metered API needs: a key that shows itself to nobody else, pauses, a rate limit, a bill."""

import email.utils
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_generation.errors import PromptError

SHORTEST_KEY = 8
"""Characters; what is shorter ("ollama", "none") is a placeholder that hides nothing."""
LONGEST_LINE = 200
LONGEST_PAUSE = 600.0
"""Seconds; a server that asks for more is better asked another day."""


@dataclass(frozen=True)
class ApiKey:
    """A key, empty where the server needs none.

    Raises:
        PromptError: no HTTP header can carry it.
    """

    value: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if re.search(r"[^!-~]", self.value):
            raise PromptError("the API key holds characters that no key has: copy it again")

    def is_in(self, text: str) -> bool:
        return len(self.value) >= SHORTEST_KEY and self.value in text

    def line(self, text: str) -> str:
        """The beginning of `text` on one line, without the key: cut last, so that no half of a key remains."""
        hidden = text.replace(self.value, "[key]") if self.is_in(text) else text
        return " ".join(hidden.split())[:LONGEST_LINE]


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
        usual = min(self.base * 2.0 ** (failures - 1), LONGEST_PAUSE) * random.uniform(0.5, 1)
        return max(usual, retry_after(headers))


@dataclass
class RateLimit:
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


@dataclass
class Usage:
    """Requests and tokens of one run.

    Attributes:
        price_in: of a million tokens that are sent, in any currency; None if unknown.
        price_out: of a million tokens that come back.
        requests: sent, those that failed included.
        failures: requests that ended in an HTTP error, a time-out or a lost connection.
        uncounted: answers whose server did not say how many tokens they took.
    """

    price_in: float | None = None
    price_out: float | None = None
    requests: int = 0
    failures: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    uncounted: int = 0

    def count(self, usage: object) -> None:
        """Add the `usage` object of an answer, in the words of Responses or of chat completions.

        Every answer is paid for, also one that cannot be used.
        """
        counts: Mapping[str, Any] = usage if isinstance(usage, dict) else {}
        sent = counts.get("input_tokens", counts.get("prompt_tokens"))
        received = counts.get("output_tokens", counts.get("completion_tokens"))
        if isinstance(sent, int) and isinstance(received, int):
            self.tokens_in += sent
            self.tokens_out += received
        else:
            self.uncounted += 1

    @property
    def cost(self) -> float | None:
        """In the currency of the prices; None without prices."""
        if self.price_in is None or self.price_out is None:
            return None
        return (self.tokens_in * self.price_in + self.tokens_out * self.price_out) / 1e6

    def __str__(self) -> str:
        parts = [f"{self.requests} requests", f"{self.tokens_in} tokens in", f"{self.tokens_out} tokens out"]
        if self.failures:
            parts.insert(1, f"{self.failures} of them failed")
        if self.uncounted:
            parts.append(f"{self.uncounted} answers without a token count")
        cost = "cost unknown without --price-in and --price-out" if self.cost is None else f"cost {self.cost:.4f}"
        return ", ".join([*parts, cost])
