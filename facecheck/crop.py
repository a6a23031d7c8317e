"""The one function that turns (image, box) into the classifier's input.

Training and inference both call `face`; a detector of generation traces reads exactly what a second resize
implementation would add, so there is no second one.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

Square = tuple[float, float, float, float]


def square(box: npt.ArrayLike, width: int, height: int, margin: float) -> Square:
    """The square region that is cut around a face.

    Args:
        box: (4,) xyxy, pixels of the upright picture; may reach outside it.
        width, height: size of the picture, pixels.
        margin: side of the square as a multiple of the longer side of the box.

    Returns:
        xyxy floats, a square inside the picture. Near an edge it is moved inwards; where the picture is smaller than
        the square it is reduced. Nothing is ever padded, because padding is visible to a classifier.
    """
    x0, y0, x1, y1 = (float(v) for v in np.asarray(box, dtype=np.float64))
    side = min(margin * max(x1 - x0, y1 - y0, 1.0), float(width), float(height))
    left = min(max((x0 + x1 - side) / 2, 0.0), width - side)
    top = min(max((y0 + y1 - side) / 2, 0.0), height - side)
    return left, top, left + side, top + side


def face(image: npt.NDArray[np.uint8], box: npt.ArrayLike, size: int, margin: float) -> npt.NDArray[np.uint8]:
    """Cut one face and bring it to the classifier's size, in one antialiased bicubic resize of Pillow.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (4,) xyxy, pixels.
        size: side of the result, pixels.
        margin: see `square`.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    region = square(box, width, height, margin)
    # Only the region's own pixels (and the filter's reach) are handed to Pillow: a 40-megapixel picture is not copied.
    reach = int(np.ceil(2 * max(1.0, (region[2] - region[0]) / size))) + 1
    x, y = max(int(region[0]) - reach, 0), max(int(region[1]) - reach, 0)
    x_end, y_end = min(int(region[2]) + reach + 1, width), min(int(region[3]) + reach + 1, height)
    patch = Image.fromarray(np.ascontiguousarray(image[y:y_end, x:x_end]))
    inside = (region[0] - x, region[1] - y, min(region[2] - x, x_end - x), min(region[3] - y, y_end - y))
    return np.asarray(patch.resize((size, size), Image.Resampling.BICUBIC, box=inside))
