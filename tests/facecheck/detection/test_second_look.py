"""A picture on its side, upside down, or whose face comes in a later frame is seen, at a bounded cost."""

import io

import numpy as np
import pytest
from PIL import Image

from facecheck.detection import second_look
from facecheck.detection.second_look import OTHER_FRAME, TURNED
from facecheck.result import Reason, Verdict


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_lies_is_turned(checker, grace, turns):
    answer = checker.predict(np.ascontiguousarray(np.rot90(grace, turns)))
    upright = checker.predict(grace)
    assert answer.faces
    if answer.turned:  # Upside down the cascade may find it as it lies.
        assert answer.turned == 4 - turns
        assert answer.faces == upright.faces
        assert answer.size == upright.size
        assert answer.problems == (TURNED,)
    assert upright.turned == 0 and upright.problems == ()


def test_an_orientation_that_was_applied_already_is_tried_both_ways(checker, grace):
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(grace).save(stream, "JPEG", quality=95, exif=exif)
    answer = checker.predict(stream.getvalue())
    assert answer.faces and answer.turned == 1


def test_a_face_in_a_later_frame_is_seen(checker, grace, cat):
    stream, size = io.BytesIO(), (grace.shape[1], grace.shape[0])
    first = Image.fromarray(cat).resize(size)
    first.save(stream, "WEBP", save_all=True, append_images=[Image.fromarray(grace)], lossless=True)
    answer = checker.predict(stream.getvalue())
    assert answer.faces and answer.frame == 0
    assert OTHER_FRAME in answer.problems


def test_a_picture_without_a_face_costs_a_bounded_second_look(checker, cat, monkeypatch):
    pictures, real = [], type(checker.detector).detect
    monkeypatch.setattr(type(checker.detector), "detect", lambda self, some: pictures.extend(some) or real(self, some))
    large = np.asarray(Image.fromarray(cat).resize((2400, 1600)))
    answer = checker.predict(large)
    assert (answer.verdict, answer.turned, answer.reasons) == (Verdict.NO_FACE, 0, ())
    first, *more = pictures
    assert first.shape == large.shape
    assert [max(picture.shape) for picture in more] == [second_look.SIDE] * 3


def test_a_search_for_large_faces_sees_them_and_no_others(checker, grace):
    detector, large = checker.detector, Image.fromarray(grace)
    small = Image.new("RGB", (512, 512), (90, 120, 90))
    small.paste(large.resize((44, round(44 * large.height / large.width))), (200, 200))
    assert len(detector.detect([np.asarray(small)])[0]) == 1
    assert len(detector.for_large_faces().detect([np.asarray(small)])[0]) == 0
    (all_of_them,), (the_large,) = (each.detect([grace]) for each in (detector, detector.for_large_faces()))
    assert np.abs(all_of_them.boxes - the_large.boxes).max() < 0.1 * grace.shape[1]  # Their pyramids differ.


def test_frames_of_clips_get_no_second_look(checker, grace):
    from facecheck.batching import Decoded

    (answer,) = checker.judge_batch([Decoded("frame", np.ascontiguousarray(np.rot90(grace)), 0.0)])
    assert answer.turned == 0


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.full((200, 300, 3), 200, np.uint8), Reason.NEARLY_ONE_COLOUR),
        (np.random.default_rng(0).integers(0, 30, (200, 300, 3), np.uint8), Reason.TOO_DARK),
        (np.random.default_rng(0).integers(0, 255, (12, 300, 3), np.uint8), Reason.PICTURE_TOO_SMALL),
    ],
)
def test_no_face_has_a_reason_where_the_picture_was_not_really_seen(checker, picture, reason):
    answer = checker.predict(picture)
    assert answer.verdict == Verdict.NO_FACE
    assert reason in answer.reasons
    assert type(answer).from_dict(answer.to_dict()) == answer


def test_no_face_in_an_animation_says_that_frames_were_not_seen(checker, cat):
    stream = io.BytesIO()
    frames = [Image.fromarray(np.roll(cat, 40 * shift, axis=1)) for shift in range(4)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    answer = checker.predict(stream.getvalue())
    assert Reason.FRAMES_NOT_SEEN in answer.reasons
