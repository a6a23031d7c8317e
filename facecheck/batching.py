"""Inputs on their way to the checker: how they are decoded, and how many are worked on together.

This is the one policy: the checker, scans, clusters, the page and evaluation ask here.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from facecheck.errors import ImageError
from facecheck.provenance import Provenance

if TYPE_CHECKING:
    import numpy.typing as npt

    from facecheck.decoding import Pixels
    from facecheck.image import Source

Item = TypeVar("Item")
Done = TypeVar("Done")
BATCH_PICTURES, BATCH_PIXELS = 16, 6_000_000
"""A batch is closed early when its pictures are large, so that memory stays bounded."""
WORKER_PICTURES, WORKER_BYTES = 4, 500_000
"""Faces that are classified together take less time each, because the network's weights are read once for all."""
RAW_OVER_ENCODED = 10


@dataclass(frozen=True)
class Decoded:
    """An input after decoding.

    Attributes:
        name: what results and messages call it.
        pixels: (H, W, 3) uint8 RGB, upright; None if it cannot be read, and then `error` says why.
        provenance: what its file says of itself; None for pixels.
        path: of its file; None for other inputs.
        problems: what had to be assumed of it, or was not looked at.
        others: more frames of an animation, each as `pixels`.
        frames: how many the file has.
        look_again: whether it is worth a second look where no face is found; a frame of a clip is not.
    """

    name: str
    pixels: "Pixels | None"
    decode_ms: float
    error: ImageError | None = None
    provenance: Provenance | None = None
    path: str | None = None
    problems: tuple[str, ...] = ()
    others: "tuple[Pixels, ...]" = ()
    frames: int = 1
    look_again: bool = False

    @property
    def area(self) -> int:
        """Pixels of the picture; 0 without one."""
        return 0 if self.pixels is None else area(self.pixels)


def decode(source: "Source", *, name: str | None = None, bgr: bool = False) -> Decoded:
    """Read a picture and what its file says of itself; never raises on a bad one. Safe from several threads.

    Args:
        name: what results and messages call it; None: `facecheck.image.describe`.
        bgr: whether arrays have their channels in the order of OpenCV; all else says itself what it is.
    """
    from facecheck import image  # Here: a scan that finds nothing new needs no numpy.
    from facecheck.provenance.reader import read as read_provenance

    name, started = name or image.describe(source), time.perf_counter()
    provenance = None
    try:
        source = image.as_rgb(source) if bgr else source
        data = image.encoded(source, name=name)
        # First, and apart: nothing that is found here reaches the pixels.
        provenance = None if data is None else read_provenance(data, name)
        started = time.perf_counter()
        picture = image.read(source if data is None else data, name=name)
    except ImageError as problem:
        return Decoded(name, None, (time.perf_counter() - started) * 1000, problem, provenance, _path_of(source))
    decode_ms = (time.perf_counter() - started) * 1000
    seen = (picture.problems, picture.others, picture.frames)
    return Decoded(name, picture.pixels, decode_ms, None, provenance, _path_of(source), *seen, look_again=True)


def _path_of(source: "Source") -> str | None:
    """Of its file; None for other inputs."""
    if not isinstance(source, (str, os.PathLike)) or (isinstance(source, str) and source.startswith("data:")):
        return None
    return os.fsdecode(source)


def batches(items: Iterable[Item], pixels: Callable[[Item], int], *, limit: int | None = None) -> Iterator[list[Item]]:
    """Runs of up to `BATCH_PICTURES` items that are in memory and are judged together, in order.

    Args:
        pixels: of an item.
        limit: a batch ends with the item that reaches so many pixels, and so with any item that has as many itself;
            None: `BATCH_PIXELS`.
    """
    limit = BATCH_PIXELS if limit is None else limit
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += pixels(item)
        if size >= limit or len(batch) >= BATCH_PICTURES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def area(picture: "npt.NDArray[Any]") -> int:
    """Pixels of a picture (H, W, ...)."""
    return int(picture.shape[0] * picture.shape[1])


def groups(sources: "Iterable[Source]", workers: int) -> "Iterator[list[Source]]":
    """What one worker does at a time: few inputs, fewer if they are large or the end is near.

    So no worker waits long for another (guided self-scheduling: Polychronopoulos, Kuck 1987, over the inputs that are
    known already). The sources are taken as they are needed, and a few more.
    """
    rest = iter(sources)
    ahead: deque[tuple[Source, int]] = deque()
    while True:
        while len(ahead) < workers * WORKER_PICTURES and sum(size for _, size in ahead) < workers * WORKER_BYTES:
            try:
                source = next(rest)
            except StopIteration:
                break
            ahead.append((source, _file_bytes(source)))
        if not ahead:
            return
        group: list[Source] = []
        room, most = WORKER_BYTES, -(-len(ahead) // workers)
        while ahead and room > 0 and len(group) < most:
            source, size = ahead.popleft()
            group.append(source)
            room -= size
        yield group


def in_order(work: Callable[[Item], list[Done]], items: Iterable[Item], workers: int) -> Iterator[Done]:
    """What `work` makes of each item, in the order of the items; threads are a bounded number of items ahead."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[list[Done]]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                while len(waiting) > 2 * workers or (waiting and waiting[0].done()):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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


def _pixel_bytes(source: Any) -> int:
    """Of an array, a tensor or a PIL image, none of which is imported to ask."""
    if hasattr(source, "nbytes"):
        return int(source.nbytes)
    return int(source.width * source.height * 3) if hasattr(source, "getbands") else 0
