"""Sources -> decoded pictures, one by one or a few at a time."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from facecheck import image
from facecheck.errors import ImageError
from facecheck.image import Pixels, Source
from facecheck.origin.findings import Provenance
from facecheck.origin.provenance import read as read_provenance

LANE_PICTURES, LANE_BYTES = 2, 250_000


@dataclass(frozen=True)
class Opened:
    """An input after decoding: pixels or an error."""

    name: str
    pixels: Pixels | None
    decode_ms: float
    error: ImageError | None = None
    provenance: Provenance | None = None

    @property
    def area(self) -> int:
        """Pixels of the decoded picture; 0 without one."""
        return 0 if self.pixels is None else int(self.pixels.shape[0] * self.pixels.shape[1])


def opened(source: Source, name: str | None = None) -> Opened:
    """Read a picture and what its file says of itself; never raises on a bad one. Safe from several threads.

    Args:
        name: of the file, where the source is its bytes; None: `facecheck.image.describe`.
    """
    name, started = name or image.describe(source), time.perf_counter()
    pixels, provenance, error = None, None, None
    try:
        data = image.encoded(source)
        # First, and apart: nothing that is found here reaches the pixels.
        provenance = None if data is None else read_provenance(data, name)
        started = time.perf_counter()
        pixels = image.load(source if data is None else data, name)
    except ImageError as problem:
        error = problem
    return Opened(name, pixels, (time.perf_counter() - started) * 1000, error, provenance)


def few(sources: Iterator[Source]) -> list[Source]:
    """What one lane does at a time: few inputs, fewer if they are large, so that no lane waits long for another."""
    group: list[Source] = []
    size = 0
    for source in islice(sources, LANE_PICTURES):
        group.append(source)
        size += image.file_bytes(source)
        if size >= LANE_BYTES:
            break
    return group
