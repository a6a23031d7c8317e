"""Uploads live in memory, within a size and a time."""

import pytest

from demo.server.uploads import Uploads
from demo.settings import Settings


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
