"""Delivery is drawn from the generator alone, and changes what it says it changes."""

import io

import numpy as np
import pytest
from PIL import Image

from training.augment import Delivery, recompress, training_face

BOX = (180.0, 60.0, 330.0, 250.0)
QUIET = dict.fromkeys(("rescale", "recode", "blur", "noise", "colour", "grey", "erase", "flip", "box_shift"), 0.0)


def draw(picture: np.ndarray, seed: int, **settings: object) -> np.ndarray:
    delivery = Delivery(**{**QUIET, "box_scale": (1.0, 1.0), **settings})
    return training_face(picture, BOX, 96, 1.3, delivery, np.random.default_rng(seed))


def test_the_same_generator_state_gives_the_same_pixels(astronaut):
    for seed in range(20):
        first, second = (
            training_face(astronaut, BOX, 96, 1.3, Delivery(), np.random.default_rng(seed)) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)
        assert first.shape == (96, 96, 3)
        assert first.dtype == np.uint8


@pytest.mark.parametrize("step", ["rescale", "recode", "blur", "noise", "colour", "grey", "erase"])
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


@pytest.mark.parametrize(("extension", "kind"), [(".jpg", "JPEG"), (".webp", "WEBP")])
def test_recompression_loses_about_what_pillow_loses(astronaut, extension, kind):
    stream = io.BytesIO()
    Image.fromarray(astronaut).save(stream, kind, quality=40)
    by_pillow = np.asarray(Image.open(stream).convert("RGB")).astype(int)
    loss = np.abs(recompress(astronaut, 40, extension).astype(int) - astronaut).mean()
    assert loss == pytest.approx(np.abs(by_pillow - astronaut).mean(), rel=0.2)
