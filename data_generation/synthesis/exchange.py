"""What courier and image service say to each other: a request, what its answer means, the image at an address."""

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai

from data_generation.api_client import Server, is_passing
from data_generation.synthesis import ServiceSettings

SENT, ANSWERED, DONE, REFUSED, LOST, UNSENT, STOP = "sent", "answered", "done", "refused", "lost", "unsent", "stop"
"""What is known of a request. `answered`: the service named an address for the image. `refused`: by its moderation.
`unsent`: not sent, or known not to have been worked on. `stop` is no state: no request can succeed."""
MODERATION = frozenset({"moderation_blocked", "content_policy_violation", "content_filter"})
UNCLEAR = frozenset({502, 504, *range(520, 600)})
"""Answers of a gateway that does not know what became of the request."""
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
LARGEST_BYTES, DOWNLOADS, DOWNLOAD_S = 64 << 20, 4, 300


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
        except ValueError:
            return Outcome(LOST, "the answer is not JSON, or was cut off")
        return self._of_body(body, raw.headers.get("x-request-id", ""))

    def _of_status(self, error: openai.APIStatusError) -> Outcome:
        says = self.server.message(error)
        if error.code in MODERATION or "safety system" in error.message.casefold():
            return Outcome(REFUSED, says)
        if error.status_code in UNCLEAR:
            return Outcome(LOST, says)
        if is_passing(error):
            return Outcome(UNSENT, says, headers=error.response.headers)
        otherwise = "check --base-url (it often ends in /v1), --size, --quality and --format"
        return Outcome(STOP, self.server.advice(error, self.model, otherwise))

    def _of_body(self, body: Any, request_id: str) -> Outcome:
        first = (body.get("data") or [None])[0] if isinstance(body, dict) else None
        if not isinstance(first, dict):
            return Outcome(LOST, self.server.key.line(f"the answer holds no image: {body}"))
        told = {name: body[name] for name in ("created", "usage", "size", "quality", "output_format") if name in body}
        told |= {"revised_prompt": first["revised_prompt"]} if first.get("revised_prompt") else {}
        told |= {"request_id": request_id} if request_id else {}
        more = {"answer": told, "answered": time.time()}
        if url := first.get("url"):
            return Outcome(ANSWERED, more=more | {"url": str(url)})
        try:
            text = "".join(str(first.get("b64_json") or "").rpartition(",")[2].split())
            return Outcome(DONE, more=more, content=base64.b64decode(text, validate=True))
        except binascii.Error:
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
        own, end, content = self.server.client.base_url, time.monotonic() + DOWNLOAD_S, bytearray()

        def refuse_others(request: httpx2.Request) -> None:
            # The service must not send us to what only this machine or its network reaches.
            if request.url.scheme != "https" and (request.url.scheme, request.url.host) != (own.scheme, own.host):
                raise ValueError(f"{request.url.scheme}://{request.url.host} is neither https nor the service itself")

        with (
            httpx2.Client(timeout=60, follow_redirects=True, event_hooks={"request": [refuse_others]}) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            for part in answer.iter_bytes():
                content += part
                if len(content) > LARGEST_BYTES:
                    raise ValueError(f"it is larger than {LARGEST_BYTES >> 20} MB")
                if time.monotonic() > end:
                    raise ValueError(f"it took more than {DOWNLOAD_S} s")
        return bytes(content)
