"""A file may take its decoder's time, memory or life; it gets an answer, and so do all others."""

import io
import os
import resource
import sys
import time

import numpy as np
import pytest
from PIL import Image

from demo.server import decoders as module
from demo.server.decoders import Decoders
from facecheck import batching


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


def test_closing_leaves_no_process(portrait):
    made = Decoders(1)
    made.decode(portrait, "a.jpg")
    worker = made._idle.get()
    process = worker._process
    made._idle.put(worker)
    made.close()
    assert not process.is_alive()
