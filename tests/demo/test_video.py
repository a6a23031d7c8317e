"""A clip: sampled, followed, one score over time; nothing but the file itself is opened."""

import cv2
import numpy as np
import pytest

from demo import timeline
from demo.video import is_clip, judge_clip
from facecheck.errors import ImageError


@pytest.fixture(scope="module")
def clip(tmp_path_factory, grace) -> bytes:
    """A second in which a portrait moves to the right."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    small = cv2.resize(grace, (256, 300), interpolation=cv2.INTER_AREA)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 8, (256, 300))
    for step in range(8):
        writer.write(np.ascontiguousarray(np.roll(small, 3 * step, axis=1)[..., ::-1]))
    writer.release()
    return path.read_bytes()


def test_the_face_of_a_clip_is_followed_and_drawn(clip, checker):
    assert is_clip(clip)
    seen = judge_clip(clip, checker)
    assert seen.frames == 8 and len(seen.tracks) == len(seen.prediction.faces) == 1
    assert seen.prediction.faces[0].p_fake == pytest.approx(np.median(seen.tracks[0].judged))
    assert seen.tracks[0].seconds == pytest.approx(np.arange(8) / 8)
    html = timeline.answer(seen, checker.decision)
    assert html.count("<polyline") == 1 and "8 frames of 0.9 s" in html and "Time line" in html


def test_pictures_and_play_lists_are_no_clips(portrait):
    assert not is_clip(portrait) and not is_clip(b"") and not is_clip(b"\0\0\0\x1cftypavif")
    assert not is_clip(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile:///etc/passwd\n")
    assert not is_clip(b"ffconcat version 1.0\nfile /etc/passwd\n")


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_a_damaged_clip_is_an_image_error(clip, checker, share):
    with pytest.raises(ImageError, match="clip"):
        judge_clip(clip[: int(len(clip) * share)], checker)


def test_a_disguised_play_list_opens_no_other_file(clip, checker, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(clip)
    hidden = b"\0\0\0\x18ftypisom" + b"#EXTM3U\n#EXTINF:1,\n" + (tmp_path / "secret.mp4").as_uri().encode() + b"\n"
    with pytest.raises(ImageError):
        judge_clip(hidden, checker)
