"""Averages are those of torch's area interpolation; rectangles never overlap."""

import numpy as np
import pytest
import torch

from facecheck.detection import pyramid
from facecheck.detection.pyramid import SummedArea, laid_out


def area(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    planes = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].double()
    return torch.nn.functional.interpolate(planes, (height, width), mode="area")[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("height", "width"), [(600, 512), (181, 155), (77, 300), (1, 1), (900, 700)])
def test_a_whole_picture_is_resized_as_torch_does(grace, height, width):
    means = SummedArea(grace).resized(height, width)
    np.testing.assert_allclose(means[..., :3], area(grace, height, width), atol=1e-3)
    assert not means[..., 3].any()


@pytest.mark.parametrize("stripe_bytes", [1, 20_000])
def test_resizing_in_stripes_changes_nothing(grace, monkeypatch, stripe_bytes):
    whole = SummedArea(grace).resized(181, 155)
    monkeypatch.setattr(pyramid, "STRIPE_BYTES", stripe_bytes)
    np.testing.assert_array_equal(SummedArea(grace).resized(181, 155), whole)


@pytest.mark.parametrize("side", [24, 48])
def test_patches_are_resized_as_torch_does(grace, side):
    regions = np.array([[0, 0, 512, 600], [10, 20, 11, 21], [3, 5, 40, 300], [480, 590, 512, 600]])
    for patch, (x0, y0, x1, y1) in zip(SummedArea(grace).patches(regions, side), regions, strict=True):
        np.testing.assert_allclose(patch, area(grace[y0:y1, x0:x1], side, side), atol=1e-3)


def test_sums_may_wrap():
    white = np.full((3000, 3000, 3), 255, np.uint8)  # 2.3e9 in all, more than 32 bits with a sign hold.
    np.testing.assert_allclose(SummedArea(white).resized(40, 40)[..., :3], 255, atol=1e-2)
    assert SummedArea(white).patches(np.array([[2900, 2900, 3000, 3000]]), 24).min() == pytest.approx(255)


def test_rectangles_lie_apart_on_even_places_inside_their_canvas():
    rng = np.random.default_rng(0)
    sizes = [(int(h), int(w)) for h, w in rng.integers(1, (101, 121), (200, 2))]
    taken: dict[int, np.ndarray] = {}
    for (height, width), (canvas, top, left) in zip(sizes, laid_out(sizes, 100, 120), strict=True):
        assert (top % 2, left % 2) == (0, 0)
        plane = taken.setdefault(canvas, np.zeros((100, 120), int))
        assert top + height <= 100
        assert left + width <= 120
        plane[top : top + height, left : left + width] += 1
    assert max(plane.max() for plane in taken.values()) == 1
    assert sorted(taken) == list(range(len(taken)))
    assert sum(h * w for h, w in sizes) / (len(taken) * 100 * 120) > 0.5


def test_nothing_needs_no_canvas():
    assert laid_out([], 100, 120) == []
