"""Which connections may stay: so many in all and for one address, each with little time to say what it wants.

uvicorn waits for ever for the rest of a request's head, and for whoever does not take their answer. A thousand such
connections are all that a process may have open.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

from demo.server.access import sender
from demo.settings import Settings

HEAD_S, UNTAKEN_S = 10.0, 60.0
"""For the head of a request, from the first byte on or since the last answer; and for an answer that nobody takes."""
CONNECTIONS = 1000
SPARE_FILES = 200
"""Of the files that the process may open: for everything but connections."""


class Connection(Protocol):
    """What `Room` needs to know of one."""

    address: str

    def end(self) -> None:
        """At once, without an answer."""
        ...


class Room:
    """The connections of one server. When it is full, whoever has asked for nothing for longest makes room.

    Args:
        most: connections in all, and never more than the process may open.
        per_address: of one address.
        proxies: addresses or networks (10.0.0.0/8) that speak for many.
    """

    def __init__(self, most: int, per_address: int, proxies: Collection[str] = ()) -> None:
        self._most, self._per_address = min(most, _open_files() - SPARE_FILES), per_address
        self._proxies = [ip_network(proxy, strict=False) for proxy in proxies]
        self._of: Counter[str] = Counter()
        self._asking: set[Connection] = set()
        self._waiting: OrderedDict[Connection, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._asking) + len(self._waiting)

    def enter(self, new: Connection) -> bool:
        """Whether a new connection may stay."""
        is_one, whose = not self._is_proxy(new.address), sender(new.address)
        if is_one and self._of[whose] >= self._per_address and not self._make_room(whose):
            return False
        if len(self) >= self._most and not self._make_room(None):
            return False
        self._of[whose] += 1
        self._waiting[new] = None
        return True

    def note(self, known: Connection, *, asks: bool) -> None:
        """Whether a connection waits for an answer now, or the server for a request."""
        if known in self._waiting and asks:
            del self._waiting[known]
            self._asking.add(known)
        elif known in self._asking and not asks:
            self._asking.remove(known)
            self._waiting[known] = None

    def leave(self, known: Connection) -> None:
        """Forget a connection."""
        if known in self._waiting or known in self._asking:
            self._waiting.pop(known, None)
            self._asking.discard(known)
            whose = sender(known.address)
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]

    def _is_proxy(self, address: str) -> bool:
        try:
            return any(ip_address(address) in network for network in self._proxies)
        except ValueError:  # A socket of this machine has none.
            return False

    def _make_room(self, whose: str | None) -> bool:
        oldest = next((one for one in self._waiting if whose in (None, sender(one.address))), None)
        if oldest is None:
            return False
        self.leave(oldest)
        oldest.end()
        return True


class LimitedConnection(H11Protocol):
    """uvicorn's protocol within a `Room`; see `limited`."""

    room: Room
    address = ""
    _timer: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A stranger has connected."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if self.room.enter(self):
            self._note()
        else:
            self.end()

    def data_received(self, data: bytes) -> None:
        """Something came."""
        super().data_received(data)
        self._note()

    def on_response_complete(self) -> None:
        """An answer is on its way; another request may follow."""
        super().on_response_complete()
        self._note()

    def pause_writing(self) -> None:
        """The answer is not taken."""
        super().pause_writing()
        self._untaken = self._untaken or self.loop.call_later(UNTAKEN_S, self.end)

    def resume_writing(self) -> None:
        """The answer is taken."""
        super().resume_writing()
        _cancel(self._untaken)
        self._untaken = None

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        _cancel(self._timer)
        _cancel(self._untaken)
        self.room.leave(self)
        super().connection_lost(exc)

    def end(self) -> None:
        """Close it without an answer."""
        if self.transport is not None:
            self.transport.abort()

    def _note(self) -> None:
        asks = self.cycle is not None and not self.cycle.response_complete
        self.room.note(self, asks=asks)
        if asks or self.transport.is_closing():
            _cancel(self._timer)
            self._timer = None
        else:
            self._timer = self._timer or self.loop.call_later(HEAD_S, self.end)


def limited(room: Room) -> type[LimitedConnection]:
    """The protocol for `uvicorn.Config(http=...)`."""
    return type("LimitedConnection", (LimitedConnection,), {"room": room})


def server_options(settings: Settings) -> dict[str, Any]:
    """What `uvicorn.Config` is told besides host and port."""
    room = Room(CONNECTIONS, settings.connections, settings.proxies)
    proxies = {"proxy_headers": bool(settings.proxies), "forwarded_allow_ips": list(settings.proxies)}
    return {"http": limited(room), "ws": "none", "server_header": False, **proxies}


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _open_files() -> int:
    try:
        import resource
    except ImportError:  # Windows, where it is no limit that matters.
        return 1 << 16
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 16 if soft == resource.RLIM_INFINITY else soft
