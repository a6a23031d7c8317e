"""A disk on which nothing has room, as far as this process sees it."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SAYS = "File too large"
"""What the system says of it, in place of "No space left on device"."""


@contextmanager
def no_room(limit: int = 0) -> Iterator[None]:
    """In this block no file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, heard)
