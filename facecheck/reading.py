"""Sources -> decoded pictures, one by one or a few at a time."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facecheck import image
from facecheck.errors import ImageError
from facecheck.image import Pixels, Source
from facecheck.provenance.findings import Provenance
from facecheck.provenance.reader import read as read_provenance

LANE_PICTURES, LANE_BYTES = 4, 500_000
"""Faces that are classified together take less time each, because the network's weights are read once for all."""
RAW_OVER_ENCODED = 10


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


def groups(sources: Iterable[Source], lanes: int) -> Iterator[list[Source]]:
    """What one lane does at a time: few inputs, fewer if they are large or the end is near.

    So no lane waits long for another (guided self-scheduling: Polychronopoulos, Kuck 1987, over the inputs that are
    known already). The sources are taken as they are needed, and a few more.
    """
    rest = iter(sources)
    ahead: deque[tuple[Source, int]] = deque()
    while True:
        while len(ahead) < lanes * LANE_PICTURES and sum(size for _, size in ahead) < lanes * LANE_BYTES:
            try:
                source = next(rest)
            except StopIteration:
                break
            ahead.append((source, _file_bytes(source)))
        if not ahead:
            return
        group: list[Source] = []
        room, most = LANE_BYTES, -(-len(ahead) // lanes)
        while ahead and room > 0 and len(group) < most:
            source, size = ahead.popleft()
            group.append(source)
            room -= size
        yield group


def _file_bytes(source: object) -> int:
    """How large a picture is as a file, about; 0 where that is not known without reading it."""
    with suppress(OSError, ValueError):
        if isinstance(source, (bytes, bytearray, memoryview)):
            return len(source)
        if isinstance(source, str) and source.startswith("data:"):
            return len(source)
        if isinstance(source, (str, os.PathLike)):
            return Path(source).stat().st_size
    return _pixel_bytes(source) // RAW_OVER_ENCODED


def _pixel_bytes(source: object) -> int:
    if isinstance(source, np.ndarray):
        return source.nbytes
    if isinstance(source, Image.Image):
        return source.width * source.height * 3
    return source.nelement() * source.element_size() if image.is_tensor(source) else 0
