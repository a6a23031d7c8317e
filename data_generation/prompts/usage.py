"""What the language model has cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
