"""What stands between the network and the page: sizes, rates, a password, and the doors of Gradio that stay shut.

Gradio keeps uploads in files that whoever knows an address may fetch, fetches addresses that a visitor names, and has
routes for editing and monitoring. The page needs none of this, so only the routes that it uses are reachable.
"""

import asyncio
import base64
import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.page import texts
from demo.settings import Settings

OWN = r"/(?:api/v1/.*|health|metrics|docs|openapi\.json|pictures(?:/.*)?|live/.*|examples/.*|own/.*)"
PAGE = r"/(?:config/?|assets/.*|static/.*|svelte/.*|theme\.css|favicon\.ico|manifest\.json|robots\.txt|pwa_icon.*)?"
CALLS = (
    r"/gradio_api/(?:info/?|openapi\.json|startup-events|theme\.css|app_id/?|user/?|login_check/?|heartbeat/[\w-]+|"
    r"queue/(?:join|data)|cancel|reset/?|(?:call|run|api)/(?:v2/)?[\w/-]+)"
)
MCP = r"|/gradio_api/mcp(?:/.*)?"
# What programs call; the page itself calls Gradio by queue/join only.
PROGRAMS = ("/api/", "/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/", "/gradio_api/mcp")
COSTLY = (*PROGRAMS, "/pictures", "/gradio_api/queue/join")
OPEN = ("/health",)
# A call through Gradio carries tickets and short texts; its session keeps what it was given.
CALL_BYTES = 3 << 20
ADDRESSES_KNOWN = 10_000
# A camera's 30 frames a second; they would use up the rate of other requests at once.
FRAMES_A_MINUTE = 1800
# What the server keeps whole until it has answered; calls through Gradio are small.
LARGE = ("/api/", "/pictures", "/live/")
# Whoever is slower has gone, as a phone that lost its network never says, or only wants the place.
STALLED_S, SLOWEST_BYTES_S = 30.0, 16_000


class Guard:
    """ASGI middleware around the whole server.

    Args:
        settings: sizes, places, rate, auth, keys, framed_by.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._allowed = re.compile(f"(?:{OWN}|{PAGE}|{CALLS}{MCP if settings.mcp else ''})$")
        self._rate, self._frames = Rate(settings.rate), Rate(FRAMES_A_MINUTE if settings.rate else 0)
        # While as many as may be judged or wait hold theirs, as many again may arrive.
        self._bodies, self._most_bodies = 0, 2 * settings.places
        self._policy = content_policy(settings.framed_by)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; answer the rest with a sentence."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = inner_path(scope)
        refusal = self._refusal(scope, path) if scope["type"] == "http" else refused(404, "There is no such page.")
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body = _Body(receive, self._limit(path), checks_files=path.startswith("/gradio_api/"))
        replies = _Replies(send, self._policy, private=path.startswith(("/pictures", "/live", "/gradio_api/queue")))
        is_large = brings_much(scope, path)
        self._bodies += is_large
        try:
            await self._app(scope, body, replies)
        finally:
            self._bodies -= is_large

    def _refusal(self, scope: Scope, path: str) -> Response | None:
        headers = Headers(scope=scope)
        if not self._allowed.match(path) or ".." in path:
            return refused(404, "There is no such page.")
        if path not in OPEN and (refusal := self._unknown(headers, path)):
            return refusal
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limit(path):
            return refused(413, f"Too large: at most {self._settings.max_mb} MB are accepted.")
        if brings_much(scope, path) and self._bodies >= self._most_bodies:
            return refused(503, " ".join(texts.BUSY), {"retry-after": "2"})
        if not self._within_rate((scope.get("client") or ("",))[0], path):
            return refused(429, "Too many requests from your address; wait a minute.", {"retry-after": "60"})
        return None

    def _within_rate(self, address: str, path: str) -> bool:
        if path.startswith("/live/"):
            return self._frames.allows(address)
        return not path.startswith(COSTLY) or self._rate.allows(address)

    def _unknown(self, headers: Headers, path: str) -> Response | None:
        """Programs show a key, where there are keys; everybody else the password, where there is one."""
        keys = self._settings.api_keys
        if path.startswith(PROGRAMS) and keys:
            shown = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
            if not any(secrets.compare_digest(shown.encode(), key.encode()) for key in keys):
                return refused(401, "Send one of this server's keys in the header X-API-Key.")
        elif self._settings.auth:
            expected = "Basic " + base64.b64encode(":".join(self._settings.auth).encode()).decode()
            if not secrets.compare_digest(headers.get("authorization", "").encode(), expected.encode()):
                challenge = {"www-authenticate": 'Basic realm="Reality Check", charset="UTF-8"'}
                return refused(401, "This page asks for a name and a password.", challenge)
        return None

    def _limit(self, path: str) -> int:
        if path.startswith("/gradio_api/"):
            return CALL_BYTES
        # JSON carries bytes as base64, which takes a third more; a batch shares one limit.
        return self._settings.max_bytes * 3 // 2 if path.startswith("/api/") else self._settings.max_bytes


def inner_path(scope: Scope) -> str:
    """The path as the server knows it, without a proxy's prefix."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) or "/" if root else path


def brings_much(scope: Scope, path: str) -> bool:
    """Whether a request may bring a large body."""
    headers = Headers(scope=scope)
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    return has_body and path.startswith(LARGE) and path != "/pictures/forget"


def content_policy(framed_by: tuple[str, ...]) -> str:
    """Content-Security-Policy: everything comes from this server, nothing goes elsewhere.

    Gradio starts itself with inline scripts and compiles templates, so both stay allowed.
    """
    rules = {
        "default-src": "'self'", "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data: blob:", "media-src": "'self' blob:",
        "font-src": "'self' data:", "connect-src": "'self' blob:", "worker-src": "'self' blob:", "object-src": "'none'",
        "base-uri": "'self'", "form-action": "'self'", "frame-ancestors": " ".join(framed_by) or "'none'",
    }  # fmt: skip
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """A short answer in JSON; FastAPI's own errors have the same shape."""
    return JSONResponse({"detail": sentence}, status, headers)


class Rate:
    """A token bucket for each address, refilled over a minute; the addresses that were silent longest are forgotten."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Whether one more request from this address is within the rate; counts it if so."""
        if not self._per_minute:
            return True
        now = self._clock()
        left, since = self._buckets.pop(address, (float(self._per_minute), now))
        left = min(left + (now - since) * self._per_minute / 60, self._per_minute)
        self._buckets[address] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > ADDRESSES_KNOWN:
            self._buckets.popitem(last=False)
        return left >= 1


class _Body:
    """Counts a request's body as it comes, waits for it only so long, and reads calls to Gradio before Gradio does.

    FastAPI passes on an HTTPException that its body raises, so the visitor gets the right answer.
    """

    def __init__(self, receive: Receive, limit: int, checks_files: bool) -> None:
        self._receive, self._limit, self._checks_files = receive, limit, checks_files
        self._began, self._size, self._held, self._ended = time.monotonic(), 0, bytearray(), False

    async def __call__(self) -> Message:
        message = await self._next()
        if message["type"] != "http.request":
            return message
        if not self._checks_files:
            return message
        while message.get("more_body"):
            self._held += message.get("body", b"")
            message = await self._next()
            if message["type"] != "http.request":
                return message
        whole = bytes(self._held + message.get("body", b""))
        self._held.clear()
        if names_file(whole):
            raise HTTPException(400, "Files and addresses are not accepted here.")
        return {"type": "http.request", "body": whole, "more_body": False}

    async def _next(self) -> Message:
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


class _Replies:
    """Adds the headers that every answer has."""

    def __init__(self, send: Send, policy: str, private: bool) -> None:
        self._send, self._policy, self._private = send, policy, private

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = self._policy
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
            headers["permissions-policy"] = "camera=(self), microphone=(), geolocation=()"
            if self._private:
                headers["cache-control"] = "no-store"
        await self._send(message)
