"""A file may take its decoder's time, memory or life; it gets an answer, and so do all others."""

import io
import json
import multiprocessing
import os
import resource
import socket
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from demo.server import decoders as module
from demo.server.decoders import Decoders
from facecheck import batching
from facecheck.provenance import ABSENCE, Sentence


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(1, seconds=20)
    yield made
    made.close()


def blinking() -> bytes:
    """An animation of which several frames are worth a look."""
    rng, buffer = np.random.default_rng(0), io.BytesIO()
    frames = [Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)) for _ in range(3)]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def test_the_answer_is_that_of_the_library(decoders, portrait):
    for data in (portrait, blinking(), portrait[:-2], b"no picture", b""):
        found, expected = decoders.decode(data, "a\udc80.jpg"), batching.decode(data, name="a\udc80.jpg")
        assert (str(found.error), found.name, found.provenance) == (
            str(expected.error),
            "a\udc80.jpg",
            expected.provenance,
        )
        said = [*found.provenance.sentences] if found.provenance else []
        assert all(isinstance(one, Sentence) for one in said if one != ABSENCE), (
            "or the page could say it in English only"
        )
        assert (found.pixels is None) == (expected.pixels is None)
        assert found.pixels is None or np.array_equal(found.pixels, expected.pixels)
        assert (found.problems, found.frames, found.look_again) == (
            expected.problems, expected.frames, expected.look_again
        )  # fmt: skip
        assert len(found.others) == len(expected.others)
        assert all(map(np.array_equal, found.others, expected.others))


def test_a_file_that_takes_too_long_is_ended_and_the_next_one_is_read(decoders, portrait, monkeypatch):
    decoders.decode(portrait, "warm")
    monkeypatch.setattr(decoders, "_seconds", 0.0)
    started = time.monotonic()
    late = decoders.decode(portrait, "slow.jpg")
    assert late.pixels is None and "slow.jpg: not read within" in str(late.error) and time.monotonic() - started < 5
    monkeypatch.setattr(decoders, "_seconds", 20)
    assert decoders.decode(portrait, "next.jpg").pixels is not None


def test_a_decoder_that_dies_is_replaced(decoders, portrait):
    decoders.decode(portrait, "warm")
    worker = decoders._idle.get()
    os.kill(worker._process.pid, 9)
    decoders._idle.put(worker)
    answers = [decoders.decode(portrait, f"{number}.jpg") for number in range(2)]
    assert answers[1].pixels is not None and (answers[0].pixels is not None or "crashed" in str(answers[0].error))


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of processes")
def test_a_decoder_has_little_memory_and_writes_no_file(decoders, portrait):
    decoders.decode(portrait, "warm")
    worker = decoders._idle.get()
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
    limits = [resource.prlimit(worker._process.pid, kind)[0] for kind in kinds]
    decoders._idle.put(worker)
    assert limits == [module.MEMORY_BYTES, 0, 0]


GOOD = {"shapes": [[4, 5, 3]], "ms": 1.0, "error": None, "provenance": None, "problems": [], "frames": 1}


def lie_to(pipe, answers) -> None:
    """A decoder that a file has taken over: it answers what it likes, and then nothing."""
    with suppress(OSError, EOFError):
        pipe.recv_bytes(), pipe.recv_bytes()
        for answer in answers:
            pipe.send_bytes(answer)


@pytest.mark.parametrize("lie", [
    {"shapes": [[1 << 31, 1 << 31, 3]]}, {"shapes": [[-4, -5, 3]]}, {"shapes": [[4, 5, 1 << 40]]}, {"shapes": 7},
    {"shapes": [[4, 5, 3]] * 1000}, {"shapes": [[float("nan"), 5, 3]]}, {"problems": None},
    {"frames": "many"}, {"ms": []}, {"shapes": [[4, 6, 3]]}, {"shapes": [], "provenance": [[]]},
    {"provenance": {"format": 1}},
])  # fmt: skip
def test_a_decoder_that_lies_costs_its_own_answer(lie):
    assert answered([json.dumps(GOOD | lie).encode(), bytes(60)]).startswith("x: its decoder crashed")


def test_a_decoder_that_answers_too_much_or_never_ends_is_ended():
    crashed = "x: its decoder crashed"
    assert answered([b"[" * 100_000]).startswith(crashed)
    assert answered([b" " * (module.LONGEST_ANSWER + 1)]).startswith(crashed)
    assert answered([json.dumps(GOOD).encode(), bytes(61)]).startswith(crashed)
    assert (
        answered([json.dumps(GOOD).encode()], seconds=0.3) == "x: not read within 0.3 s; save it again as JPEG or PNG"
    )
    assert answered([json.dumps(GOOD).encode(), bytes(60)]) == "None"


def shut(pipe) -> None:
    """As when its process is gone; the number of the file is not given to another one while a thread uses it."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as end, suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def answered(answers: list[bytes], seconds: float = 20) -> str:
    """What the server makes of a decoder's answers: the error, in words."""
    made = Decoders(1, seconds)
    worker = made._idle.get()
    worker._pipe, theirs = multiprocessing.Pipe()
    worker._process = SimpleNamespace(kill=lambda: shut(theirs), join=lambda: None, is_alive=lambda: True)
    worker._is_warm = True
    threading.Thread(target=lie_to, args=(theirs, answers), daemon=True).start()
    made._idle.put(worker)
    found = made.decode(b"data", "x")
    made.close()
    return str(found.error)


def test_closing_leaves_no_process(portrait):
    made = Decoders(1)
    made.decode(portrait, "a.jpg")
    worker = made._idle.get()
    process = worker._process
    made._idle.put(worker)
    made.close()
    assert not process.is_alive()
