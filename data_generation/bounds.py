"""How a service is spoken to that may be hostile: it sends so much, for so long, uncompressed, and leads nowhere."""

import time
from collections.abc import Iterator

import httpx2

LARGEST_IMAGE = 64 << 20
LARGEST_ANSWER = 96 << 20
"""Bytes: an image in base64, and words."""


def bounded_client(own: str, most_bytes: int, seconds: float, timeout: float) -> httpx2.Client:
    """A client that raises `httpx2.HTTPError` where an answer, or where it leads, is not within bounds.

    Args:
        own: address of the service; what speaks plain HTTP elsewhere is not asked, whatever redirects there.
        most_bytes: of one answer. seconds: that the body of one may take. timeout: seconds without a byte.
    """
    service = httpx2.URL(own)

    def refuse_others(request: httpx2.Request) -> None:
        # The service must not send us to what only this machine or its network reaches.
        if request.url.scheme != "https" and (request.url.scheme, request.url.host) != (service.scheme, service.host):
            there = f"{request.url.scheme}://{request.url.host}"
            raise httpx2.UnsupportedProtocol(f"{there} is neither https nor the service itself")

    def bound(response: httpx2.Response) -> None:
        # A small compressed answer may unpack to any size.
        if (packed := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise httpx2.DecodingError(f"the answer came as {packed[:20]!r}, though it was asked for as it is")
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Bounded(response.stream, most_bytes, seconds)

    return httpx2.Client(
        timeout=timeout, follow_redirects=True, headers={"Accept-Encoding": "identity"},
        event_hooks={"request": [refuse_others], "response": [bound]},
    )  # fmt: skip


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, most_bytes: int, seconds: float) -> None:
        self._stream, self._most_bytes, self._seconds = stream, most_bytes, seconds
        self._end = time.monotonic() + seconds

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > self._most_bytes:
                raise httpx2.ReadError(f"it is larger than {self._most_bytes >> 20} MB")
            if time.monotonic() > self._end:
                raise httpx2.ReadTimeout(f"it took more than {self._seconds:g} s")
            yield part

    def close(self) -> None:
        self._stream.close()
