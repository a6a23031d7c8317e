"""Files of strangers are decoded in processes of their own, which can be ended: no decoder can be told to hurry.

A file that takes too long or too much memory, or crashes its decoder, costs its own answer. The processes write no
file, and the server computes on while they decode.
"""

import json
import multiprocessing
import sys
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import numpy as np

from facecheck.batching import Decoded, decode
from facecheck.decoding import Pixels
from facecheck.errors import ImageError
from facecheck.interrupts import not_for_children
from facecheck.provenance import Provenance

LONGEST_S = 20.0
"""A PNG of 80 megapixels takes 2 s."""
MEMORY_BYTES = 6 << 30
"""Of addresses; 80 megapixels and a file of 256 MiB take less than 1.5 GiB, libraries reserve the rest."""
_SPAWNED = multiprocessing.get_context("spawn")


class Decoders:
    """A fixed number of processes. Each starts with the first file that needs it. Safe to use from several threads.

    Args:
        count: files that are decoded at once; further ones wait.
        seconds: that a file may take.
    """

    def __init__(self, count: int, seconds: float = LONGEST_S) -> None:
        self._seconds = seconds
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(count):
            self._idle.put(_Worker())

    def decode(self, data: bytes, name: str) -> Decoded:
        """As `facecheck.batching.decode`; what is not done in time, or kills its process, has its `error` set."""
        worker = self._idle.get()
        try:
            return worker.decode(data, name, self._seconds)
        except TimeoutError:
            why = f"not read within {self._seconds:g} s; save it again as JPEG or PNG"
        except (EOFError, OSError):
            why = "its decoder crashed, or needed too much memory; save it again as JPEG or PNG"
        finally:
            self._idle.put(worker)
        return Decoded(name, None, 0.0, ImageError(f"{name}: {why}"))

    def close(self) -> None:
        """End the processes that nobody uses now."""
        while not self._idle.empty():
            self._idle.get().end()


class _Worker:
    """One process, as the server sees it."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None

    def decode(self, data: bytes, name: str, seconds: float) -> Decoded:
        """Raises TimeoutError, or EOFError and OSError where the process died; it is gone then."""
        pipe = self._started()
        try:
            pipe.send_bytes(name.encode("utf-8", "surrogatepass"))
            pipe.send_bytes(data)
            if not pipe.poll(seconds):
                raise TimeoutError
            answer = json.loads(pipe.recv_bytes())
            frames = [np.empty(shape, np.uint8) for shape in answer["shapes"]]
            for frame in frames:
                pipe.recv_bytes_into(frame.reshape(-1).data)
        except BaseException:
            self.end()
            raise
        return _decoded(answer, name, frames)

    def _started(self) -> Connection:
        if self._pipe is None or not self._process.is_alive():
            self.end()
            self._pipe, theirs = _SPAWNED.Pipe()
            self._process = _SPAWNED.Process(target=_serve, args=(theirs,), daemon=True, name="decoder")
            with not_for_children():
                self._process.start()
            theirs.close()
        return self._pipe

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._pipe = None


def _decoded(answer: dict[str, Any], name: str, frames: list[Pixels]) -> Decoded:
    """What a process answered; `frames`: the picture, and others of an animation that are worth a look."""
    said = Provenance.from_dict(answer["provenance"]) if answer["provenance"] is not None else None
    if not frames:
        return Decoded(name, None, answer["ms"], ImageError(answer["error"]), said)
    found = Decoded(name, frames[0], answer["ms"], None, said, look_again=True)
    return replace(found, problems=tuple(answer["problems"]), others=tuple(frames[1:]), frames=answer["frames"])


def _serve(pipe: Connection) -> None:
    """The process: files in, pixels out, until the server is gone."""
    _limit_itself()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            name = pipe.recv_bytes().decode("utf-8", "surrogatepass")
            found = decode(pipe.recv_bytes(), name=name)
            frames = [] if found.pixels is None else [found.pixels, *found.others]
            said = None if found.provenance is None else found.provenance.to_dict()
            error = None if found.error is None else str(found.error)
            answer = {"shapes": [frame.shape for frame in frames], "ms": found.decode_ms, "error": error}
            answer |= {"provenance": said, "problems": found.problems, "frames": found.frames}
            pipe.send_bytes(json.dumps(answer).encode())
            for frame in frames:
                pipe.send_bytes(frame.reshape(-1).data)
            del found, frames


def _limit_itself() -> None:
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # Its memory holds the pictures of earlier visitors too.
