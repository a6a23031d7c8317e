"""What courier and image service say to each other: a request, what its answer means, the image at an address."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai

from data_generation.api_client import Server, is_passing
from data_generation.bounds import LARGEST_IMAGE, bounded_client
from data_generation.synthesis import ServiceSettings

SENT, ANSWERED, DONE, REFUSED, LOST, UNSENT, STOP = "sent", "answered", "done", "refused", "lost", "unsent", "stop"
"""What is known of a request. `answered`: the service named an address for the image. `refused`: by its moderation.
`unsent`: not sent, or known not to have been worked on. `stop` is no state: no request can succeed."""
MODERATION = frozenset({"moderation_blocked", "content_policy_violation", "content_filter"})
UNCLEAR = frozenset({502, 504, *range(520, 600)})
"""Answers of a gateway that does not know what became of the request."""
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
DOWNLOADS, DOWNLOAD_S = 4, 300
LONGEST_TEXT, LONGEST_URL, LARGEST_NUMBER, MOST_FIELDS = 4000, 8000, 10**12, 30
"""Of what is written down of an answer: characters, numbers, fields of a table."""


@dataclass(frozen=True)
class Outcome:
    """What came of a request: a state, what to say of it, and what else is to be written down."""

    state: str
    says: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


class Exchange:
    """Speaks with the service of `settings`; safe to use from several threads at once.

    Raises:
        GenerationError: the key or the address cannot be one.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.server = Server(settings.key, settings.base_url or None, settings.timeout)
        self.model, self.pause = settings.model, settings.backoff

    def ask(self, request: Mapping[str, Any]) -> Outcome:
        """Send a request once."""
        try:
            raw = self.server.client.images.with_raw_response.generate(**request)
            body = raw.http_response.json()
        except openai.APIStatusError as error:
            return self._of_status(error)
        except openai.APIConnectionError as error:
            state = UNSENT if isinstance(error.__cause__, NEVER_SENT) else LOST
            return Outcome(state, self.server.message(error))
        except (ValueError, RecursionError):
            return Outcome(LOST, "the answer is not JSON, or was cut off")
        return self._of_body(body, raw.headers.get("x-request-id", ""))

    def _of_status(self, error: openai.APIStatusError) -> Outcome:
        says = self.server.message(error)
        if str(error.code) in MODERATION or "safety system" in error.message.casefold():
            return Outcome(REFUSED, says)
        if error.status_code in UNCLEAR:
            return Outcome(LOST, says)
        if is_passing(error):
            return Outcome(UNSENT, says, headers=error.response.headers)
        otherwise = "check --base-url (it often ends in /v1), --size, --quality and --format"
        return Outcome(STOP, self.server.advice(error, self.model, otherwise))

    def _of_body(self, body: Any, request_id: str) -> Outcome:
        data = body.get("data") if isinstance(body, dict) else None
        first = data[0] if isinstance(data, list) and data else None
        if not isinstance(first, dict):
            return Outcome(LOST, self.server.key.line(f"the answer holds no image: {str(body)[:LONGEST_TEXT]}"))
        told = {name: body.get(name) for name in ("created", "size", "quality", "output_format")}
        told |= {"usage": body["usage"]} if isinstance(body.get("usage"), dict) else {}
        told |= {"revised_prompt": first.get("revised_prompt"), "request_id": request_id}
        more = {"answer": plain(told), "answered": time.time()}
        if url := first.get("url"):
            is_address = isinstance(url, str) and len(url) <= LONGEST_URL
            return Outcome(ANSWERED, more=more | {"url": url}) if is_address else Outcome(LOST, "no address", more)
        try:
            text = "".join(str(first.get("b64_json") or "").rpartition(",")[2].split())
            return Outcome(DONE, more=more, content=base64.b64decode(text, validate=True))
        except ValueError:
            return Outcome(LOST, "the image was cut off", more)

    def fetch(self, outcome: Outcome) -> Outcome:
        """The image at an address that the service named; asking again for what is made already costs nothing."""
        problem = ""
        for attempt in range(DOWNLOADS):
            time.sleep(attempt and min(self.pause * 2**attempt, 30))
            try:
                return Outcome(DONE, more=outcome.more, content=self._downloaded(outcome.more["url"]))
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
                problem = self.server.key.line(str(error) or type(error).__name__)
        return Outcome(LOST, f"the image could not be fetched ({problem})", outcome.more)

    def _downloaded(self, url: str) -> bytes:
        """What lies at an address.

        Raises:
            httpx2.HTTPError, httpx2.InvalidURL, ValueError: nothing, too much, too slowly, or not where images are.
        """
        own = str(self.server.client.base_url)
        with bounded_client(own, LARGEST_IMAGE, DOWNLOAD_S, timeout=60) as client:
            answer = client.get(url)
            answer.raise_for_status()
            return answer.content


def plain(table: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """What a service says, as far as a row may hold it: short texts, numbers, and tables of them."""
    kept = ((str(name)[:LONGEST_TEXT], _plain(value, depth)) for name, value in table.items())
    return dict([(name, value) for name, value in kept if value is not None][:MOST_FIELDS])


def _plain(value: Any, depth: int) -> Any:
    """None for what is left out."""
    match value:
        case str() if value:
            return value[:LONGEST_TEXT]
        case int() | float() if abs(value) < LARGEST_NUMBER:
            return value
        case dict() if depth:
            return plain(value, depth - 1)
    return None
