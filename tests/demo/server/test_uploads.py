"""Uploads live in memory, within a size and a time."""

import httpx
import numpy as np
import pytest
from PIL import Image

from demo.server.uploads import CAMERAS, Cameras, Uploads
from demo.settings import Settings
from facecheck.errors import ImageError
from tests.demo.conftest import as_file


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    return Clock()


def test_a_ticket_gives_its_own_picture_and_no_other(clock):
    pictures = Uploads(100, 10, clock)
    one, two = pictures.put(b"one"), pictures.put(b"two")
    assert one != two
    assert (pictures.get(one).data, pictures.get(two).data) == (b"one", b"two")
    assert pictures.get("guess") is None
    assert len(one) >= 32


def test_a_dropped_picture_is_gone(clock):
    pictures = Uploads(100, 10, clock)
    ticket = pictures.put(b"one")
    pictures.drop(ticket)
    pictures.drop("guess")
    assert pictures.get(ticket) is None


def test_pictures_go_when_their_time_is_over(clock):
    pictures = Uploads(100, 10, clock)
    old = pictures.put(b"old")
    clock.now = 9
    new = pictures.put(b"new")
    clock.now = 11
    pictures.sweep()
    assert len(pictures) == 1
    assert pictures.get(old) is None and pictures.get(new) is not None


def test_the_oldest_make_room(clock):
    pictures = Uploads(10, 10, clock)
    tickets = [pictures.put(b"12345") for _ in range(3)]
    assert [pictures.get(ticket) is not None for ticket in tickets] == [False, True, True]
    huge = pictures.put(b"x" * 11)
    assert pictures.get(huge) is None


@pytest.mark.parametrize("max_mb", [1, 20])
def test_everybody_who_is_judged_or_waits_keeps_the_largest_picture(clock, max_mb):
    settings = Settings(max_mb=max_mb, workers=1, waiting=3)
    largest = bytes(settings.max_bytes)
    pictures = Uploads(settings.kept_bytes, 10, clock)
    tickets = [pictures.put(largest) for _ in range(4)]
    assert all(pictures.get(ticket) for ticket in tickets)
    pictures.put(b"one more")
    assert pictures.get(tickets[0]) is None


NAME = "0123456789abcdef"


def test_a_face_keeps_its_number_from_frame_to_frame(checker, grace):
    cameras = Cameras()
    frames = [as_file(Image.fromarray(np.roll(grace, shift, axis=1))) for shift in (0, 5, 10)]
    answers = [cameras.judge(NAME, frame, checker) for frame in frames]
    assert [[face["number"] for face in answer["faces"]] for answer in answers] == [[1], [1], [1]]
    assert answers[0]["size"] == [grace.shape[1], grace.shape[0]]
    assert set(answers[0]["faces"][0]) == {"number", "box", "p_fake", "verdict", "meaning", "score"}


def test_cameras_do_not_mix_and_are_forgotten(checker, grace):
    now = [0.0]
    cameras = Cameras(lambda: now[0])
    frame = as_file(Image.fromarray(grace))
    cameras.judge(NAME, frame, checker)
    cameras.judge("another-camera-01", frame, checker)
    assert len(cameras._trackers) == 2
    now[0] = 31.0
    cameras.judge("another-camera-02", frame, checker)
    assert list(cameras._trackers) == ["another-camera-02"]
    for number in range(CAMERAS + 5):
        cameras._tracker(f"camera-{number}")
    assert len(cameras._trackers) <= CAMERAS


def test_a_frame_larger_than_a_cameras_is_refused(checker):
    with pytest.raises(ImageError, match="larger than a camera's"):
        Cameras().judge(NAME, as_file(Image.new("RGB", (4000, 3000))), checker)


def test_the_route_answers_frames_and_refuses_the_rest(small_server, portrait):
    assert len(httpx.post(f"{small_server}/live/{NAME}", content=portrait).json()["faces"]) == 1
    assert httpx.post(f"{small_server}/live/short", content=portrait).status_code == 400
    assert httpx.post(f"{small_server}/live/{NAME}", content=b"x").status_code == 422
    assert httpx.post(f"{small_server}/live/{NAME}", content=b"x" * (3 << 20)).status_code == 413
