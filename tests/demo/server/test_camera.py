"""The live camera's side of the server."""

import httpx
import numpy as np
import pytest
from PIL import Image

from demo.server.camera import CAMERAS, Cameras
from facecheck.errors import ImageError
from tests.demo.conftest import as_file

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
