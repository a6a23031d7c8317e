"""What an operator may choose."""

from dataclasses import dataclass, field
from pathlib import Path

import click

from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.model import DEFAULT_MODEL

MEBIBYTE = 1 << 20


def default_store() -> Path:
    """Where objections are kept if nothing else is said: below the user's folder for application data."""
    return Path(click.get_app_dir("facecheck")) / "feedback"


@dataclass(frozen=True)
class Settings:
    """Options of one server; the defaults are safe on a laptop.

    Attributes:
        max_mb: largest upload, MiB; the library refuses more than 80 megapixels besides.
        workers: pictures that are judged at the same time.
        waiting: pictures that may wait; the next one is answered "busy".
        connections: that one address may have open.
        megapixels: a minute from one address; 0: no limit.
        proxies: addresses of proxies, whose X-Forwarded-For is believed, and to which `connections` does not apply.
        kept_s: the visitors' last pictures stay in memory, for an objection, for so long and within `kept_bytes`.
        auth: (user, password) that the whole server asks for.
        api_keys: keys that the programs' routes ask for; none: they are open to whoever reaches the server.
        cors: web pages of these origins may call /api/v1.
        rate: requests a minute from one address to what costs computing; 0: no limit. Frames count apart.
        framed_by: origins that may show the page in a frame.
        prevalence: share of generated faces among those that visitors ask about; what an answer is worth depends on it.
        feedback: folder of the objections. feedback_mb: its largest size, MiB.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    model: str = DEFAULT_MODEL
    device: str = "auto"
    max_mb: int = 20
    workers: int = 2
    waiting: int = 32
    connections: int = 100
    megapixels: int = 3000
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    kept_s: int = 900
    auth: tuple[str, str] | None = None
    api_keys: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    rate: int = 0
    framed_by: tuple[str, ...] = ()
    mcp: bool = False
    prevalence: float = DEFAULT_PREVALENCE
    root_path: str = ""
    feedback: Path = field(default_factory=default_store)
    feedback_mb: int = 1000

    @property
    def max_bytes(self) -> int:
        """Largest upload, bytes."""
        return self.max_mb * MEBIBYTE

    @property
    def places(self) -> int:
        """Pictures that are judged or wait."""
        return self.workers + self.waiting

    @property
    def kept_bytes(self) -> int:
        """Of the visitors' pictures together: room for one of everybody who is judged or waits."""
        return self.places * self.max_bytes
