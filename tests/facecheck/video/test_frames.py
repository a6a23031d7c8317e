"""Frames are sampled by their times, stand upright, and stay within limits that are said when they are met."""

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from facecheck.errors import ImageError
from facecheck.video.frames import Clip, ClipLimits
from tests.clips import FPS, frame, turned_by_metadata, write_clip

SECONDS = 4


@pytest.fixture(scope="module")
def clip(tmp_path_factory, woman) -> Path:
    """Four seconds: a face that moves to the right on grey; the name is no pattern."""
    path = tmp_path_factory.mktemp("clip") / "clip %02d.mp4"
    return write_clip(path, [frame((woman, number)) for number in range(FPS * SECONDS)])


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> Path:
    """3,000 frames at one a second."""
    picture = np.full((32, 32, 3), 128, np.uint8)
    return write_clip(tmp_path_factory.mktemp("slow") / "slow.mp4", [picture] * 3000, fps=1)


def times(clip: Clip) -> list[float]:
    return [at for at, _ in clip.samples()]


@pytest.mark.parametrize(("every_s", "expected"), [(1, [0, 1, 2, 3]), (0.5, np.arange(8) / 2), (100, [0])])
def test_frames_are_sampled_by_time(clip, every_s, expected):
    opened = Clip(str(clip), ClipLimits(every_s=every_s))
    samples = list(opened.samples())
    assert [at for at, _ in samples] == pytest.approx(list(expected), abs=0.001)
    assert all(pixels.shape == (160, 320, 3) for _, pixels in samples)
    assert (opened.frames, opened.fps, opened.is_complete, opened.unseen_s) == (40, FPS, True, 0)
    assert opened.duration_s == pytest.approx(3.9, abs=0.01) and opened.length_s == pytest.approx(4)


def test_of_a_short_clip_more_frames_are_seen_than_one_a_second(clip, slow):
    assert times(Clip(clip)) == pytest.approx(np.arange(0, 4, 0.3)[:14], abs=0.11)
    assert len(times(Clip(slow, ClipLimits(max_seconds=100)))) == 100


def test_a_length_that_the_header_hides_is_no_reason_to_look_less_or_more(clip, slow):
    opened = Clip(clip)
    opened.length_s = 0.0
    assert 16 <= len(times(opened)) <= 40
    opened = Clip(slow, ClipLimits(max_seconds=100))
    opened.length_s = 0.01
    assert len(times(opened)) == 100


def test_bytes_and_path_are_the_same_clip(clip):
    by_path, by_bytes = (list(Clip(source).samples()) for source in (clip, clip.read_bytes()))
    assert len(by_path) == len(by_bytes) > 3
    assert all((one == other).all() for (_, one), (_, other) in zip(by_path, by_bytes, strict=True))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_frames_that_metadata_turns_are_upright(clip, tmp_path, quarters):
    upright = [pixels for _, pixels in Clip(clip).samples()]
    stored = write_clip(tmp_path / "turned.mp4", [np.rot90(pixels, quarters) for pixels in upright])
    turned = Clip(turned_by_metadata(stored.read_bytes(), quarters), ClipLimits(every_s=0.05))
    for expected, (_, pixels) in zip(upright, turned.samples(), strict=True):
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).mean() < 6
    assert turned.size == (320, 160)


def test_a_long_clip_is_looked_at_evenly_from_end_to_end(slow):
    opened = Clip(slow, ClipLimits(max_samples=50))
    assert times(opened) == pytest.approx(np.arange(0, 3000, 60))
    assert opened.is_complete and opened.stopped is None


@pytest.mark.parametrize(
    ("limits", "seen_s", "samples"),
    [
        (ClipLimits(max_frames=1000), 999, 1000),
        (ClipLimits(max_seconds=100), 100, 100),
        (ClipLimits(every_s=1, max_samples=10, max_seconds=5), 5, 5),
    ],
)
def test_a_limit_that_is_met_is_said_with_what_was_not_seen(slow, limits, seen_s, samples):
    opened = Clip(slow, limits)
    assert len(times(opened)) == pytest.approx(samples, abs=1)
    assert opened.stopped is not None and getattr(limits, opened.stopped) < 3000
    assert not opened.is_complete and opened.unseen_s == pytest.approx(3000 - seen_s, abs=1)


def test_of_a_clip_that_takes_long_fewer_frames_are_seen_but_up_to_its_end(slow, monkeypatch):
    now = iter(np.arange(0.0, 1e6, 0.01))
    monkeypatch.setattr("facecheck.video.frames.time.monotonic", lambda: next(now))
    opened = Clip(slow, ClipLimits(max_work_s=100))
    seen = times(opened)
    assert opened.is_complete and 16 < len(seen) < 3000 and seen[-1] > 2900


def test_a_header_that_lies_about_the_length_cannot_cost_more_samples(slow):
    opened = Clip(slow, ClipLimits(max_samples=20))
    opened.length_s = 40.0
    assert len(times(opened)) == 20
    assert opened.stopped == "max_samples" and opened.frames < 100


def test_work_ends_when_its_time_is_over(slow, monkeypatch):
    opened = Clip(slow, ClipLimits(max_work_s=5))
    now = itertools.count(time.monotonic())
    monkeypatch.setattr("facecheck.video.frames.time.monotonic", lambda: next(now))
    began = list(opened.samples())
    assert len(began) < 3000 and opened.stopped == "max_work_s" and not opened.is_complete


def test_time_that_ends_with_the_film_leaves_nothing_out(woman, tmp_path, monkeypatch):
    film = write_clip(tmp_path / "a.avi", [frame((woman, 90))] * 8, codec="MJPG")
    opened = Clip(film, ClipLimits(every_s=0.001, max_work_s=50))
    samples = opened.samples()
    seen = [next(samples) for _ in range(8)]
    late = time.monotonic() + 100
    monkeypatch.setattr("facecheck.video.frames.time.monotonic", lambda: late)
    assert list(samples) == [] and len(seen) == opened.frames == 8
    assert opened.is_complete and opened.stopped is None


def test_a_clip_that_is_cut_off_is_not_complete(woman, tmp_path):
    whole = write_clip(tmp_path / "a.avi", [frame((woman, 90))] * 30, codec="MJPG").read_bytes()
    opened = Clip(whole[: len(whole) * 2 // 3])
    assert 5 < len(times(opened)) < 15
    assert opened.stopped is None and not opened.is_complete and opened.unseen_s == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("share", [0.002, 0.01, 0.3])
def test_a_damaged_clip_is_one_sentence_with_its_name(clip, share):
    data = clip.read_bytes()
    with pytest.raises(ImageError, match=r"^holiday: .*video") as caught:
        list(Clip(data[: int(len(data) * share)], name="holiday").samples())
    assert "\n" not in str(caught.value)


def test_what_is_no_clip_is_refused(tmp_path, grace_path):
    for source in (grace_path, tmp_path, tmp_path / "nothing", b"", "a\0b"):
        with pytest.raises(ImageError):
            Clip(source)


def test_an_mp4_with_sound_only_says_so(clip, tmp_path):
    data = clip.read_bytes()
    path = tmp_path / "song.mp4"
    path.write_bytes(data.replace(b"vide", b"soun").replace(b"mp4v", b"mp4a").replace(b"vmhd", b"smhd"))
    with pytest.raises(ImageError, match=r"song\.mp4: has sound and no picture"):
        Clip(path)


def test_frames_that_are_too_large_are_refused(clip):
    with pytest.raises(ImageError, match="frames of more than 100 pixels"):
        Clip(clip, ClipLimits(max_pixels=100))


def test_a_limit_of_nothing_is_a_mistake():
    for wrong in ({"every_s": 0}, {"max_samples": 0}, {"max_work_s": -1}, {"max_seconds": float("nan")}):
        with pytest.raises(ValueError, match="must be above 0"):
            ClipLimits(**wrong)


def test_no_file_stays_open(clip):
    before = len(list(Path("/proc/self/fd").iterdir()))
    list(Clip(clip).samples())
    samples = Clip(clip).samples()
    next(samples)
    samples.close()
    for limits in (ClipLimits(max_pixels=100), ClipLimits()):
        with pytest.raises(ImageError):
            Clip(clip.with_name("none") if limits == ClipLimits() else clip, limits)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
