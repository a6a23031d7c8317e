"""The ASGI middleware between the network and the page: it asks `access`, and adds the headers."""

from collections import Counter

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import texts
from demo.server.access import (
    LimitedBody,
    RateLimits,
    content_policy,
    names_file,
    reachable,
    refused,
    sender,
    unauthorised,
)
from demo.settings import Settings

# A call through Gradio carries tickets and short texts; its session keeps what it was given.
CALL_BYTES, TICKET_BYTES = 3 << 20, 1000
# What the server keeps whole until it has answered; calls through Gradio are small.
LARGE = ("/api/", "/pictures", "/live/")
PRIVATE = ("/pictures", "/live", "/gradio_api/queue")


class Middleware:
    """Around the whole server.

    Args:
        settings: sizes, places, rate, auth, keys, framed_by.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings, self._reachable = app, settings, reachable(settings.mcp)
        self._rates, self._policy = RateLimits(settings.rate), content_policy(settings.framed_by)
        # While as many as may be judged or wait hold theirs, as many again may arrive; half of them from one address.
        self._most_bodies = 2 * settings.places
        self._bodies: Counter[str] = Counter()
        self._open: Counter[str] = Counter()

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
        body: Receive = LimitedBody(receive, self._limit(path))
        if path.startswith("/gradio_api/"):
            body = _WithoutFiles(body)
        client, is_large = address_of(scope), brings_much(scope, path)
        self._bodies[client] += is_large
        self._open[client] += 1
        try:
            await self._app(scope, body, _Replies(send, self._policy, is_private=path.startswith(PRIVATE)))
        finally:
            self._bodies[client] -= is_large
            self._open[client] -= 1
            for counted in (self._bodies, self._open):
                if not counted[client]:
                    del counted[client]

    def _refusal(self, scope: Scope, path: str) -> Response | None:
        headers = Headers(scope=scope)
        if not self._reachable.match(path) or ".." in path:
            return refused(404, "There is no such page.")
        if refusal := unauthorised(headers, path, self._settings):
            return refusal
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limit(path):
            return refused(413, f"Too large: at most {self._settings.max_mb} MB are accepted.")
        return self._over_limits(scope, path)

    def _over_limits(self, scope: Scope, path: str) -> Response | None:
        """The refusal of a caller who has or asks for too much already."""
        client, most = address_of(scope), self._most_bodies
        if brings_much(scope, path) and (self._bodies.total() >= most or self._bodies[client] >= most // 2):
            return refused(503, " ".join(texts.BUSY), {"retry-after": "2"})
        if self._open[client] >= self._settings.connections:
            return refused(429, "Too many open requests from your address; close some.", {"retry-after": "10"})
        if not self._rates.allow(client, path):
            return refused(429, "Too many requests from your address; wait a minute.", {"retry-after": "60"})
        return None

    def _limit(self, path: str) -> int:
        if path.startswith("/gradio_api/"):
            return CALL_BYTES
        if path == "/pictures/forget":  # It is not counted among those that bring much.
            return TICKET_BYTES
        # JSON carries bytes as base64, which takes a third more; a batch shares one limit.
        return self._settings.max_bytes * 3 // 2 if path.startswith("/api/") else self._settings.max_bytes


def address_of(scope: Scope) -> str:
    """Whose request it is; behind a proxy that is believed, the address that it names; see `sender`."""
    return sender(str((scope.get("client") or ("",))[0]))


def inner_path(scope: Scope) -> str:
    """The path as the server knows it, without a proxy's prefix."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) or "/" if root else path


def brings_much(scope: Scope, path: str) -> bool:
    """Whether a request may bring a large body."""
    headers = Headers(scope=scope)
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    return has_body and path.startswith(LARGE) and path != "/pictures/forget"


class _WithoutFiles:
    """Reads the whole body of a call to Gradio before Gradio does, and refuses one that names a file or an address."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __call__(self) -> Message:
        message, held = await self._receive(), bytearray()
        while message["type"] == "http.request" and message.get("more_body"):
            held += message.get("body", b"")
            message = await self._receive()
        if message["type"] != "http.request":
            return message
        whole = bytes(held + message.get("body", b""))
        if names_file(whole):
            raise HTTPException(400, "Files and addresses are not accepted here.")
        return {"type": "http.request", "body": whole, "more_body": False}


class _Replies:
    """Adds the headers that every answer has; an ASGI `send`."""

    def __init__(self, send: Send, policy: str, is_private: bool) -> None:
        self._send, self._policy, self._is_private = send, policy, is_private

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = self._policy
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
            headers["permissions-policy"] = "camera=(self), microphone=(), geolocation=()"
            if self._is_private:
                headers["cache-control"] = "no-store"
        await self._send(message)
