"""Who may call what, and how much: reachable routes, password, keys, what a browser may load, rates, bytes and seconds.

Gradio keeps uploads in files that whoever knows an address may fetch, fetches addresses that a visitor names, and has
routes for editing and monitoring. The page needs none of this, so only the routes that it uses are reachable.
"""

import asyncio
import base64
import json
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive

from demo.settings import Settings

OWN = r"/(?:api/v1/.*|health|metrics|docs|openapi\.json|for-programs|pictures(?:/.*)?|live/.*|examples/.*|own/.*)"
PAGE = r"/(?:config/?|assets/.*|static/.*|svelte/.*|theme\.css|favicon\.ico|manifest\.json|robots\.txt|pwa_icon.*)?"
CALLS = (
    r"/gradio_api/(?:info/?|openapi\.json|startup-events|theme\.css|app_id/?|user/?|login_check/?|heartbeat/[\w-]+|"
    r"queue/(?:join|data)|cancel|reset/?|(?:call|run|api)/(?:v2/)?[\w/-]+)"
)
MCP = r"|/gradio_api/mcp(?:/.*)?"
# What programs call; the page itself calls Gradio by queue/join only.
PROGRAMS = ("/api/", "/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/", "/gradio_api/mcp")
# Requests that cost computing; frames of a camera count apart, or they would use up the rate of all others at once.
COSTLY = (*PROGRAMS, "/pictures", "/gradio_api/queue/join")
FRAMES_A_MINUTE = 1800
ADDRESSES_KNOWN = 10_000
# Whoever is slower has gone, as a phone that lost its network never says, or only wants the place.
STALLED_S, SLOWEST_BYTES_S = 30.0, 16_000
OPEN = ("/health",)


def reachable(mcp: bool) -> re.Pattern[str]:
    """A pattern of the paths that are served.

    Args:
        mcp: whether agents may call as well.
    """
    return re.compile(f"(?:{OWN}|{PAGE}|{CALLS}{MCP if mcp else ''})$")


def refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """A short answer as a problem detail (RFC 9457)."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence}
    return JSONResponse(problem, status, headers, media_type="application/problem+json")


def unauthorised(headers: Headers, path: str, settings: Settings) -> Response | None:
    """The refusal of a caller who is not known; None for others.

    Programs show a key, where there are keys; everybody else the password, where there is one.
    """
    if path in OPEN:
        return None
    if path.startswith(PROGRAMS) and settings.api_keys:
        shown = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not any(secrets.compare_digest(shown.encode(), key.encode()) for key in settings.api_keys):
            return refused(401, "Send one of this server's keys in the header X-API-Key.")
    elif settings.auth:
        expected = "Basic " + base64.b64encode(":".join(settings.auth).encode()).decode()
        if not secrets.compare_digest(headers.get("authorization", "").encode(), expected.encode()):
            challenge = {"www-authenticate": 'Basic realm="Reality Check", charset="UTF-8"'}
            return refused(401, "This page asks for a name and a password.", challenge)
    return None


def content_policy(framed_by: tuple[str, ...]) -> str:
    """Content-Security-Policy: everything comes from this server, nothing goes elsewhere.

    Gradio starts itself with inline scripts and compiles templates, so both stay allowed.
    """
    rules = {
        "default-src": "'self'", "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data: blob:", "media-src": "'self' blob:",
        "font-src": "'self' data:", "connect-src": "'self' blob:", "worker-src": "'self' blob:", "object-src": "'none'",
        "frame-src": "'self' blob:",
        "base-uri": "'self'", "form-action": "'self'", "frame-ancestors": " ".join(framed_by) or "'none'",
    }  # fmt: skip
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def names_file(body: bytes) -> bool:
    """Whether a call to Gradio may speak of a file or an address, which Gradio would open or fetch."""
    try:
        return _has_file(json.loads(body)) if body else False
    except ValueError:
        return False  # Gradio refuses what is not JSON.
    except RecursionError:
        return True  # Gradio reads deeper than this looks.


def _has_file(value: Any) -> bool:
    if isinstance(value, dict):
        return bool({"path", "url", "meta"} & set(value)) or any(map(_has_file, value.values()))
    return isinstance(value, list) and any(map(_has_file, value))


def sender(address: str) -> str:
    """Whom an address belongs to: of IPv6 a whole network of 64 bits, which everybody has for themselves."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:  # A socket of this machine has none.
        return address
    if isinstance(known, IPv4Address):
        return str(known)
    return str(known.ipv4_mapped or IPv6Network((known, 64), strict=False))


class RateLimit:
    """A token bucket for each address, refilled over a minute; the addresses that were silent longest are forgotten.

    Args:
        per_minute: requests, or megapixels; 0: no limit.
        clock: monotonic seconds; tests set it.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Whether one more request from this address is within the rate; counts it if so."""
        if self.left(address) < 1:
            return False
        self.charge(address, 1)
        return True

    def left(self, address: str) -> float:
        """What this address may ask for now; below 0 where it was charged for more."""
        if not self._per_minute:
            return math.inf
        now = self._clock()
        left, since = self._buckets.get(address, (float(self._per_minute), now))
        return min(left + (now - since) * self._per_minute / 60, self._per_minute)

    def charge(self, address: str, cost: float) -> None:
        """Count what was done for an address."""
        if self._per_minute:
            left = self.left(address) - cost
            self._buckets.pop(address, None)
            self._buckets[address] = (left, self._clock())
            if len(self._buckets) > ADDRESSES_KNOWN:
                self._buckets.popitem(last=False)


class RateLimits:
    """The limits of one server: what costs computing, and frames of live cameras.

    Args:
        per_minute: costly requests from one address; 0: no limit, for frames neither.
    """

    def __init__(self, per_minute: int) -> None:
        self._costly, self._frames = RateLimit(per_minute), RateLimit(FRAMES_A_MINUTE if per_minute else 0)

    def allow(self, address: str, path: str) -> bool:
        """Whether one more request from this address to this path is within its rate; counts it if so."""
        if path.startswith("/live/"):
            return self._frames.allows(address)
        return not path.startswith(COSTLY) or self._costly.allows(address)


class LimitedBody:
    """A request's body, counted as it comes and waited for only so long; an ASGI `receive`.

    FastAPI passes on an HTTPException that its body raises, so the visitor gets the right answer.

    Args:
        limit: bytes.

    Raises:
        HTTPException: 408: it came too slowly; 413: it is too large.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._began, self._size, self._ended = time.monotonic(), 0, False

    async def __call__(self) -> Message:
        """The next message of the request."""
        left = self._began + STALLED_S + self._size / SLOWEST_BYTES_S - time.monotonic()
        try:
            async with asyncio.timeout(None if self._ended else left):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "It came too slowly; please send it again.") from error
        self._ended = not message.get("more_body")
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise HTTPException(413, "Too large.")
        return message
