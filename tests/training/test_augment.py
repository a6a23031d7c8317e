"""Delivery is drawn from the generator alone, and changes what it says it changes."""

import io

import numpy as np
import pytest
from PIL import Image

from training.augment import CODECS, Delivery, cut, recompress, reduced, training_face

BOX = (180.0, 60.0, 330.0, 250.0)
STEPS = [
    "rescale", "screenshot", "recode", "blur", "noise", "sharpen", "colour", "grey", "beauty", "cut", "turn", "zoom",
    "erase", "shuffle",
]  # fmt: skip


def draw(picture: np.ndarray, seed: int, **settings: object) -> np.ndarray:
    return training_face(picture, BOX, 96, 1.3, Delivery.none(**settings), np.random.default_rng(seed))


def test_the_same_generator_state_gives_the_same_pixels(astronaut):
    for seed in range(20):
        first, second = (
            training_face(astronaut, BOX, 96, 1.3, Delivery(), np.random.default_rng(seed)) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)
        assert first.shape == (96, 96, 3)
        assert first.dtype == np.uint8


@pytest.mark.parametrize("step", STEPS)
def test_each_step_changes_the_face(astronaut, step):
    assert np.abs(draw(astronaut, 3, **{step: 1.0}).astype(int) - draw(astronaut, 3)).mean() > 0.2


def test_grey_has_no_colour(astronaut):
    grey = draw(astronaut, 0, grey=1.0)
    np.testing.assert_array_equal(grey[:, :, 0], grey[:, :, 2])


def test_flip_is_a_mirror(astronaut):
    np.testing.assert_array_equal(draw(astronaut, 0, flip=1.0), draw(astronaut, 0)[:, ::-1])


def test_moving_the_box_moves_the_face(astronaut):
    assert np.abs(draw(astronaut, 1, box_shift=0.1).astype(int) - draw(astronaut, 1)).mean() > 2
    assert np.abs(draw(astronaut, 1, box_scale=(0.8, 0.85)).astype(int) - draw(astronaut, 1)).mean() > 2


def test_small_faces_are_not_enlarged(astronaut):
    np.testing.assert_array_equal(draw(astronaut, 0, rescale=1.0, face_px=(500.0, 600.0)), draw(astronaut, 0))


@pytest.mark.parametrize("codec", CODECS)
def test_recompression_loses_about_what_pillow_loses(astronaut, codec):
    stream = io.BytesIO()
    Image.fromarray(astronaut).save(stream, codec, quality=40)
    by_pillow = np.asarray(Image.open(stream).convert("RGB")).astype(int)
    loss = np.abs(recompress(astronaut, 40, codec).astype(int) - astronaut).mean()
    assert loss == pytest.approx(np.abs(by_pillow - astronaut).mean(), rel=0.2)


@pytest.mark.parametrize("side", range(4))
def test_a_cut_takes_its_share_of_the_face_and_keeps_the_rest_in_place(astronaut, side):
    box = np.array(BOX)
    picture, moved = cut(astronaut, box, 0.4, side)
    height, width = picture.shape[:2]
    inside = np.clip(moved, 0, (width, height, width, height))
    assert np.prod(inside[2:] - inside[:2]) / np.prod(box[2:] - box[:2]) == pytest.approx(0.6, abs=0.01)
    x, y = inside[:2].astype(int)
    shift = (box - moved)[:2].astype(int)
    np.testing.assert_array_equal(picture[y, x], astronaut[y + shift[1], x + shift[0]])


def test_a_reduced_face_has_the_size_asked_for(astronaut):
    picture, box = reduced(astronaut, np.array(BOX), 48.0)
    assert max(box[2:] - box[:2]) == pytest.approx(48, abs=1)
    assert picture.shape[0] == pytest.approx(512 * 48 / 190, abs=1)


def test_shuffling_keeps_every_pixel(astronaut):
    shuffled, plain = draw(astronaut, 2, shuffle=1.0), draw(astronaut, 2)
    np.testing.assert_array_equal(np.sort(shuffled.reshape(-1, 3), axis=0), np.sort(plain.reshape(-1, 3), axis=0))
