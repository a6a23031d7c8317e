"""One crop for training and inference, checked against Pillow on the whole picture."""

import numpy as np
import pytest
from PIL import Image

from facecheck import crop
from training.augment import Delivery, training_face

BOXES = [
    (200.0, 80.0, 330.5, 250.25),
    (-20.0, -30.0, 60.0, 80.0),
    (400.0, 500.0, 520.0, 640.0),
    (0.0, 0.0, 512.0, 600.0),
]


@pytest.mark.parametrize("box", BOXES)
def test_training_and_inference_see_the_same_pixels(grace, box):
    seen = training_face(grace, box, 224, 1.3, Delivery.none(), np.random.default_rng(0))
    np.testing.assert_array_equal(seen, crop.face(grace, box, 224, 1.3))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("size", [64, 100, 224])
def test_the_crop_is_pillows_resize_of_the_square(grace, box, size):
    height, width = grace.shape[:2]
    region = crop.square(box, width, height, 1.3)
    expected = np.asarray(Image.fromarray(grace).resize((size, size), Image.Resampling.BICUBIC, box=region))
    # Pillow rounds its filter weights from the region's place in what it is given: one grey level at most.
    assert np.abs(crop.face(grace, box, size, 1.3).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("box", BOXES)
def test_a_large_face_of_a_large_picture_too(grace, box):
    picture = Image.fromarray(grace).resize((3072, 3600), Image.Resampling.BICUBIC)
    large = np.multiply(box, 6)
    expected = picture.resize((224, 224), Image.Resampling.BICUBIC, box=crop.square(large, 3072, 3600, 1.3))
    assert np.abs(crop.face(np.asarray(picture), large, 224, 1.3).astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("box", [*BOXES, (900.0, 900.0, 950.0, 950.0), (5.0, 5.0, 5.0, 5.0)])
def test_the_square_is_square_and_inside(box):
    x0, y0, x1, y1 = crop.square(box, 512, 600, 1.3)
    assert x1 - x0 == pytest.approx(y1 - y0)
    assert x0 >= 0
    assert y0 >= 0
    assert x1 <= 512
    assert y1 <= 600


def test_the_square_is_centred_and_scaled_where_there_is_room():
    assert crop.square((100, 100, 200, 180), 1000, 1000, 1.5) == (75.0, 65.0, 225.0, 215.0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 1), (40, 40)])
def test_tiny_and_extreme_pictures_give_a_face(shape):
    picture = np.full((*shape, 3), 77, np.uint8)
    assert (crop.face(picture, (0, 0, shape[1], shape[0]), 64, 1.3) == 77).all()
