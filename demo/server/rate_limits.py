"""How much one caller may ask for: requests and megapixels a minute, bytes of a body, and seconds that it may take."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Network, ip_address

from fastapi import HTTPException
from starlette.types import Message, Receive

from demo.server.access import PROGRAMS

# Requests that cost computing; frames of a camera count apart, or they would use up the rate of all others at once.
COSTLY = (*PROGRAMS, "/pictures", "/gradio_api/queue/join")
FRAMES_A_MINUTE = 1800
ADDRESSES_KNOWN = 10_000
# Whoever is slower has gone, as a phone that lost its network never says, or only wants the place.
STALLED_S, SLOWEST_BYTES_S = 30.0, 16_000


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
