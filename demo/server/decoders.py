"""Files of strangers are decoded in processes of their own, which can be ended: no decoder can be told to hurry.

A file that takes too long or too much memory, or crashes its decoder, costs its own answer. The processes write no
file, and the server computes on while they decode.
"""

import json
import math
import multiprocessing
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import numpy as np

from facecheck.batching import Decoded, decode
from facecheck.decoding import FRAMES_KEPT_PIXELS, FRAMES_SEEN, MAX_PIXELS, Pixels
from facecheck.errors import ImageError
from facecheck.interrupts import not_for_children
from facecheck.provenance import Provenance, Sentence

LONGEST_S, START_S = 20.0, 20.0
"""A PNG of 80 megapixels takes 2 s; and what a process may take besides until it has started."""
MEMORY_BYTES = 6 << 30
"""Of addresses; 80 megapixels and a file of 256 MiB take less than 1.5 GiB, libraries reserve the rest."""
LONGEST_ANSWER = 16 << 20
"""Bytes, in JSON: what a file says of itself is much shorter."""
LONGEST_TEMPLATE, LONGEST_SENTENCE = 1 << 10, 1 << 14
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
        self._is_warm = False

    def decode(self, data: bytes, name: str, seconds: float) -> Decoded:
        """Raises TimeoutError, or EOFError and OSError where the process died or answers nonsense; it is gone then."""
        pipe = self._started()
        seconds += 0 if self._is_warm else START_S
        end = time.monotonic() + seconds
        # Whatever it does not read, or does not finish to say, ends with it.
        watch = threading.Timer(seconds, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            pipe.send_bytes(name.encode("utf-8", "surrogatepass"))
            pipe.send_bytes(data)
            found = _received(pipe, name)
            self._is_warm = True
            return found
        except BaseException as error:
            self.end()
            if isinstance(error, Exception) and time.monotonic() >= end:
                raise TimeoutError from error
            raise
        finally:
            watch.cancel()

    def _started(self) -> Connection:
        if self._pipe is None or not self._process.is_alive():
            self.end()
            self._pipe, theirs = _SPAWNED.Pipe()
            self._process = _SPAWNED.Process(target=_serve, args=(theirs,), daemon=True, name="decoder")
            with not_for_children():
                self._process.start()
            theirs.close()
            self._is_warm = False
        return self._pipe

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._pipe = None


def _received(pipe: Connection, name: str) -> Decoded:
    """What a process answers. A file may have taken it over: it is believed no more than the file.

    Raises:
        EOFError, OSError: it died, or said what no decoder says.
    """
    try:
        answer = json.loads(pipe.recv_bytes(LONGEST_ANSWER))
        shapes = _checked(answer["shapes"])
        # Not `recv_bytes_into`: it reads all that the other side claims to send.
        sent = (pipe.recv_bytes(math.prod(shape)) for shape in shapes)
        frames = [
            np.frombuffer(frame, np.uint8).reshape(shape).copy() for frame, shape in zip(sent, shapes, strict=True)
        ]
        return _decoded(answer, name, frames)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EOFError("no answer of a decoder") from error


def _checked(shapes: Any) -> list[tuple[int, int, int]]:
    """Shapes (H, W, 3) of frames that `facecheck.decoding` gives out.

    Raises:
        ValueError, TypeError: they are not.
    """
    found = [(int(height), int(width), int(channels)) for height, width, channels in shapes]
    pixels = [height * width for height, width, _ in found]
    are_frames = len(found) <= FRAMES_SEEN and all(min(shape) > 0 and shape[2] == 3 for shape in found)
    if not are_frames or max(pixels, default=0) > MAX_PIXELS or sum(pixels[1:]) > FRAMES_KEPT_PIXELS:
        raise ValueError(f"frames of {shapes}")
    return found


def _decoded(answer: dict[str, Any], name: str, frames: list[Pixels]) -> Decoded:
    """`frames`: the picture, and others of an animation that are worth a look."""
    said = Provenance.from_dict(unpacked(answer["provenance"])) if answer["provenance"] is not None else None
    taken = float(answer["ms"])
    if not frames:
        return Decoded(name, None, taken, ImageError(str(answer["error"])), said)
    found = Decoded(name, frames[0], taken, None, said, look_again=True)
    problems = tuple(map(str, answer["problems"]))
    return replace(found, problems=problems, others=tuple(frames[1:]), frames=int(answer["frames"]))


def packed(value: Any) -> Any:
    """Plain values for JSON, in which sentences keep their parts: the page says them in the visitor's language."""
    match value:
        case Sentence():
            return {"/sentence": value.template, "values": packed(value.values)}
        case dict():
            return {name: packed(inner) for name, inner in value.items()}
        case list() | tuple():
            return [packed(inner) for inner in value]
    return value


def unpacked(value: Any) -> Any:
    """What was `packed`.

    Raises:
        ValueError, TypeError: a sentence is none, or longer than any of ours.
    """
    match value:
        case {"/sentence": str(template), "values": values} if len(template) <= LONGEST_TEMPLATE:
            made = Sentence(template, **unpacked(values))
            if len(made) > LONGEST_SENTENCE:  # Sentences within sentences grow without end.
                raise ValueError("a sentence that is too long")
            return made
        case dict():
            return {name: unpacked(inner) for name, inner in value.items()}
        case list():
            return list(map(unpacked, value))
    return value


def _serve(pipe: Connection) -> None:
    """The process: files in, pixels out, until the server is gone."""
    _limit_itself()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            name = pipe.recv_bytes().decode("utf-8", "surrogatepass")
            found = decode(pipe.recv_bytes(), name=name)
            frames = [] if found.pixels is None else [found.pixels, *found.others]
            said = None if found.provenance is None else packed(found.provenance.to_dict())
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
