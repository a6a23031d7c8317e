"""What is done to photographs leaves them photographs of the same shape, changes them, and is the same every time."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from training.evaluation.corruptions import Processed, processing_markdown
from training.processing import PROCESSES

BOX = np.array([180.0, 60.0, 330.0, 250.0])


@pytest.mark.parametrize("name", PROCESSES)
def test_a_processed_photograph_is_still_that_photograph(name, astronaut):
    made = PROCESSES[name](astronaut, BOX, np.random.default_rng(2))
    assert made.shape == astronaut.shape
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, PROCESSES[name](astronaut, BOX, np.random.default_rng(2)))
    likeness = structural_similarity(astronaut, made, channel_axis=2)
    assert (likeness == 1) == (name == "as it is")
    assert likeness > 0.35


def test_portrait_blur_spares_the_face_and_retouching_the_background(astronaut):
    blurred, retouched = (
        np.abs(PROCESSES[name](astronaut, BOX, np.random.default_rng(0)).astype(int) - astronaut).mean(axis=2)
        for name in ("portrait blur", "retouched")
    )
    face, corner = (slice(130, 180), slice(230, 280)), (slice(440, 512), slice(0, 100))
    assert blurred[face].mean() < 1 < blurred[corner].mean()
    assert retouched[corner].mean() < 1 < retouched[face].mean()


def test_the_table_has_a_column_for_each_model():
    rows = [Processed("as it is", 9, 0.25, 0.125), Processed("sharpening", 9, 0.5, 0.25)]
    assert processing_markdown([("old", rows), ("new", rows)]).splitlines()[2:] == [
        "| as it is | 25.0% (12.5%) | 25.0% (12.5%) |",
        "| sharpening | 50.0% (25.0%) | 50.0% (25.0%) |",
    ]
