"""What the client of a metered API needs: a key that shows itself to nobody else, pauses, a rate limit, a bill.

The server is OpenAI's, or one that speaks its formats.
"""

import email.utils
import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_generation import GenerationError

if TYPE_CHECKING:
    import openai

SHORTEST_KEY = 8
"""Characters; what is shorter ("ollama", "none") is a placeholder that hides nothing."""
LONGEST_LINE = 200
PLACEHOLDER = "none"
"""Sent to servers that ask for no key; the client insists on one."""
REPEATABLE = frozenset({408, 409, 429})
UNSUPPORTED = frozenset({400, 404, 405, 415, 422, 501})
USED_UP = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
OPENAI_URL = "https://api.openai.com/v1"
PRICES = Path(__file__).parent / "prices.json"
LONGEST_PAUSE = 600.0
"""Seconds; a server that asks for more is better asked another day."""


@dataclass(frozen=True)
class ApiKey:
    """A key, empty where the server needs none.

    Raises:
        GenerationError: no HTTP header can carry it.
    """

    value: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if re.search(r"[^!-~]", self.value):
            raise GenerationError("the API key holds characters that no key has: copy it again")

    def is_in(self, text: str) -> bool:
        return len(self.value) >= SHORTEST_KEY and self.value in text

    def line(self, text: str) -> str:
        """The beginning of `text` on one line, without the key: cut last, so that no half of a key remains."""
        hidden = text.replace(self.value, "[key]") if self.is_in(text) else text
        return " ".join(hidden.split())[:LONGEST_LINE]


class Server:
    """The openai client of one server, and one line for each of its errors.

    Args:
        key: empty where the server needs none.
        base_url: of another server than OpenAI's, usually ending in /v1.
        timeout: seconds that a request may take.

    Raises:
        GenerationError: the key or the address cannot be one.
    """

    def __init__(self, key: str = "", base_url: str | None = None, timeout: float = 120.0) -> None:
        import openai

        from data_generation.bounds import LARGEST_ANSWER, bounded_client

        if base_url and not base_url.startswith(("http://", "https://")):
            raise GenerationError(f"--base-url must begin with http:// or https://, got {base_url!r}")
        self.key = ApiKey(key.strip())
        bounded = bounded_client(base_url or OPENAI_URL, LARGEST_ANSWER, timeout, timeout)
        self.client = openai.OpenAI(
            api_key=self.key.value or PLACEHOLDER,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=bounded,
        )

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def address(self) -> str:
        """Without a name or password that it may hold."""
        url = self.client.base_url
        return self.key.line(f"{url.scheme}://{url.netloc.decode()}{url.path}").rstrip("/")

    def message(self, error: "openai.APIError") -> str:
        """What the server says, its status first."""
        body: Any = error.body
        message = body.get("message") if isinstance(body, dict) else None
        status = getattr(error, "status_code", None)
        return self.key.line(f"{f'{status}: ' if status else ''}{message or error.message} {error.__cause__ or ''}")

    def advice(self, error: "openai.APIStatusError", model: str, otherwise: str, without_key: str = "") -> str:
        """One line on an error that repeating does not mend.

        Args:
            otherwise: advice on what is no matter of key, money or model. without_key: another way than a key.
        """
        answer = f"{self.address} answers {self.message(error).rstrip('.')}"
        if error.status_code in {401, 403}:
            return f"{answer}: set another key{without_key}"
        if error.status_code in {402, 429} or _code(error) in USED_UP:
            return f"{answer}: the account is used up; top it up and run again to go on"
        if is_unknown_model(error):
            return f"{answer}: name a model that it has with --model, {model!r} is not one"
        return f"{answer}: {otherwise}"


def _code(error: "openai.APIStatusError") -> str:
    """Of an error; servers send anything."""
    return str(error.code)


def is_passing(error: "openai.APIStatusError") -> bool:
    """Whether the same request may succeed later."""
    busy = error.status_code in REPEATABLE or (error.status_code >= 500 and error.status_code not in UNSUPPORTED)
    return busy and _code(error) not in USED_UP


def is_unsupported(error: "openai.APIStatusError") -> bool:
    """Whether the server may not know this way of asking, and know another one."""
    return error.status_code in UNSUPPORTED and not is_unknown_model(error)


def is_unknown_model(error: "openai.APIStatusError") -> bool:
    """Whether the server says that it does not have the model."""
    text = error.message.casefold()
    named = "model" in text and ("not found" in text or "not exist" in text)
    return _code(error) == "model_not_found" or (error.status_code == 404 and named)


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
    sleep: Callable[[float], object] = time.sleep
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


@dataclass(frozen=True)
class Prices:
    """What images cost, by a table that a person may edit.

    Attributes:
        currency: of all prices. models: name -> "image": quality -> size -> price of one; "million_tokens": "text_in",
            "image_in" and "out" -> price; "as_of", "source".
    """

    currency: str
    models: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, path: Path = PRICES) -> "Prices":
        """Read a table.

        Raises:
            GenerationError: it is none.
        """
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(table["currency"]), {str(name): dict(values) for name, values in table["models"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GenerationError(f"{path} is no table of prices ({error!r}); begin with a copy of {PRICES}") from error

    def estimate(self, model: str, quality: str = "", size: str = "") -> float | None:
        """The most that one image costs; where quality or size is left to the service, that of the dearest."""
        table = self.models.get(model, {}).get("image", {})
        rows = [table[quality]] if quality in table else list(table.values()) if quality in ("", "auto") else []
        costs = [row[size] for row in rows if size in row] or [
            cost for row in rows for cost in row.values() if size in ("", "auto")
        ]
        return max(map(float, costs), default=None)

    def cost(self, model: str, usage: Mapping[str, Any]) -> float | None:
        """Of an answer whose tokens the service counted; None where it did not, or they have no price."""
        price = self.models.get(model, {}).get("million_tokens")
        sent, received = usage.get("input_tokens"), usage.get("output_tokens")
        if not price or not isinstance(sent, int) or not isinstance(received, int):
            return None
        details = usage.get("input_tokens_details") or {}
        images = details.get("image_tokens") if isinstance(details, dict) else 0
        images = images if isinstance(images, int) else 0
        return float(((sent - images) * price["text_in"] + images * price["image_in"] + received * price["out"]) / 1e6)
