"""Traces: what could give a class away without looking at the face. The file's metadata, the framing, pixel statistics.

Each trace turns one face into a dict of named numbers; NaN where something is not known. `measure` says how well a
classifier tells real from fake by them alone, cross-validated by group, with an interval.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from training.augment import Delivery, training_face
from training.data import FaceFile
from training.evaluation.metrics import Floats, Ints, roc_auc

Picture = npt.NDArray[np.uint8]
Traces = dict[str, float]

# The settings of `Delivery` that move the face or the frame; all others change pixels only.
GEOMETRY = frozenset({"rescale", "screenshot", "cut", "turn", "zoom", "flip", "box_shift"})
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "TGA", "ICO")
FIXED_QUALITY = 90
NEARLY_CONSTANT = 2.0
MAP_STEP = 4
DARK, BRIGHT = 8, 247


def container(row: FaceFile) -> Traces:
    """How the file was saved: format, JPEG quality, chroma subsampling, colour mode, metadata blocks, aspect.

    `training prepare` makes all of these equal; where they differ, a network reads the classes off the codec.
    """
    with Image.open(row.path) as picture:
        layers = getattr(picture, "layer", None) or []
        return {
            "format": float(FORMATS.index(picture.format)) if picture.format in FORMATS else np.nan,
            "quality": float(jpeg_quality(picture) or np.nan),
            "chroma_subsampling": float(layers[0][1] * 10 + layers[0][2]) if layers else np.nan,
            "colour_channels": float(len(picture.getbands())),
            "has_exif": float("exif" in picture.info),
            "has_icc_profile": float("icc_profile" in picture.info),
            "aspect": picture.width / picture.height,
        }


def framing(row: FaceFile) -> Traces:
    """Size of the file and place of the face in it, which the crop and the delivery have to take away."""
    with Image.open(row.path) as picture:
        width, height = picture.size
    x0, y0, x1, y1 = row.box
    return {
        "width": float(width),
        "height": float(height),
        "file_bytes": float(row.path.stat().st_size),
        "face_share": (x1 - x0) * (y1 - y0) / (width * height),
        "face_x": (x0 + x1) / 2 / width,
        "face_y": (y0 + y1) / 2 / height,
    }


def framing_as_seen(
    image: Picture, row: FaceFile, size: int, margin: float, delivery: Delivery, rng: np.random.Generator
) -> Traces:
    """What is left of the metadata in a training example: the face's share and place in the crop, the crop's format.

    A map of coordinates goes through the same delivery as a picture would, with everything switched off that changes
    only pixels. Read back from the crop, it tells where the corners of the face's box came to lie.
    """
    height, width = image.shape[:2]
    still: dict[str, Any] = {
        f.name: 0.0 for f in fields(Delivery) if isinstance(f.default, float) and f.name not in GEOMETRY
    }
    crop = training_face(_coordinates(width, height), row.box, size, margin, replace(delivery, **still), rng)
    corners = _located(crop, np.asarray(row.box) / (width, height, width, height) * 255)
    stream = _saved(crop)
    with Image.open(stream) as saved:
        seen_size, aspect, name = saved.size, saved.width / saved.height, saved.format
    low, high = corners.min(axis=0), corners.max(axis=0)
    return {
        "width": float(seen_size[0]),
        "height": float(seen_size[1]),
        "aspect": aspect,
        "format": float(FORMATS.index(str(name))),
        "face_share": float(np.prod((high - low) / size)),
        "face_x": float((low[0] + high[0]) / 2 / size),
        "face_y": float((low[1] + high[1]) / 2 / size),
    }


def pixel_statistics(image: Picture) -> Traces:
    """Statistics of (H, W, 3) uint8 RGB that know nothing of faces: colour, sharpness, traces of compression.

    `bytes_at_fixed_quality` is the size of the picture saved as JPEG q90 4:2:0 over its pixels: a measure of detail.
    `high_frequencies` is the share of spectral energy above half the Nyquist frequency.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[:, :, 1]
    means, deviations = image.mean(axis=(0, 1)), image.std(axis=(0, 1))
    return {
        **{f"mean_{name}": float(value) for name, value in zip(("red", "green", "blue"), means, strict=True)},
        **{f"std_{name}": float(value) for name, value in zip(("red", "green", "blue"), deviations, strict=True)},
        "saturation": float(saturation.mean()),
        "dark": float((grey < DARK).mean()),
        "bright": float((grey > BRIGHT).mean()),
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_32F).std()),
        "high_frequencies": _high_frequencies(grey),
        "blockiness": _grid_step(grey) + _grid_step(grey.T),
        "constant_border": _constant_border(image),
        "bytes_at_fixed_quality": len(_saved(image).getvalue()) / grey.size,
    }


@cache
def _quality_tables() -> npt.NDArray[np.int64]:
    """(100, 64) luminance quantisation of libjpeg at the qualities 1 to 100."""
    tables = []
    for quality in range(1, 101):
        stream = io.BytesIO()
        Image.new("L", (8, 8)).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as saved:
            tables.append(saved.quantization[0])  # type: ignore[attr-defined]
    return np.array(tables, dtype=np.int64)


def jpeg_quality(picture: Image.Image) -> int | None:
    """The libjpeg quality whose luminance table is nearest to the one in an opened JPEG; None for other formats."""
    tables = getattr(picture, "quantization", None)
    if not tables or len(next(iter(tables.values()))) != 64:
        return None
    distance = np.abs(_quality_tables() - np.array(tables[min(tables)])).sum(axis=1)
    return int(distance.argmin()) + 1


def _coordinates(width: int, height: int) -> Picture:
    """(height, width, 3) uint8: x in red and y in green, each from 0 to 255."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return np.stack([x * 255, y * 255, np.zeros_like(x)], axis=2).round().astype(np.uint8)


def _located(crop: Picture, box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(4, 2) places in the crop, pixels, of the corners of a box given in coordinate-map values."""
    rows, columns = np.mgrid[0 : crop.shape[0] : MAP_STEP, 0 : crop.shape[1] : MAP_STEP].reshape(2, -1) + 0.5
    plane = np.column_stack([columns, rows, np.ones_like(rows)])
    values = crop[::MAP_STEP, ::MAP_STEP, :2].reshape(-1, 2).astype(np.float64)
    fit, *_ = np.linalg.lstsq(plane, values, rcond=None)
    corners = np.array([(x, y) for x in box[::2] for y in box[1::2]])
    return np.asarray(np.linalg.solve(fit[:2].T, (corners - fit[2]).T).T)


def _saved(image: Picture) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=FIXED_QUALITY, subsampling=2)
    return stream


def _high_frequencies(grey: npt.NDArray[np.float32]) -> float:
    energy = np.abs(np.fft.rfft2(grey - grey.mean())) ** 2
    far = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])[None]) > 0.25
    return float(np.log10((energy[far].sum() + 1) / (energy.sum() + 1)))


def _grid_step(grey: npt.NDArray[np.float32]) -> float:
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
    at_border = np.arange(len(steps)) % 8 == 7
    return float((steps[at_border].mean() + 0.1) / (steps[~at_border].mean() + 0.1))


def _constant_border(image: Picture) -> float:
    """Share of the width that is a constant frame, on the side where it is widest: padding, wedges, letterboxes."""
    widest = 0.0
    for lines in (image, image[::-1], image.swapaxes(0, 1), image.swapaxes(0, 1)[::-1]):
        flat = lines.std(axis=1).max(axis=1) < NEARLY_CONSTANT
        widest = max(widest, float(np.argmin(flat) if not flat.all() else len(flat)) / len(flat))
    return widest


Folds = list[tuple[Ints, Ints]]
FOLDS = 5
BINS = 12
RESAMPLES = 200


@dataclass(frozen=True)
class Leak:
    """How well one set of traces separates the classes. AUC 0.5 = not at all.

    Attributes:
        faces: how many were looked at.
        interval: 95 % of the bootstrap over groups.
        features: (name, AUC of a classifier that sees this feature only), worst first.
    """

    faces: int
    auc: float
    interval: tuple[float, float]
    features: tuple[tuple[str, float], ...]

    def worst(self, count: int = 3) -> str:
        """The features that leak most, for a message."""
        return ", ".join(f"{name} (AUC {auc:.2f})" for name, auc in self.features[:count])


def measure(traces: Sequence[Traces], targets: Sequence[int], groups: Sequence[str], seed: int = 0) -> Leak:
    """Separate the classes by traces, never with a group on both sides.

    Args:
        traces: N dicts with the same keys; targets: N, 1 = fake; groups: N names.

    Raises:
        ValueError: a class has fewer groups than there are folds, so nothing can be cross-validated.
    """
    names = list(traces[0]) if traces else []
    table = np.array([[trace[name] for name in names] for trace in traces], dtype=np.float64)
    truth, owners = np.asarray(targets, dtype=np.int64), np.unique(list(groups), return_inverse=True)[1]
    for value, label in ((0, "real"), (1, "fake")):
        if (count := len(np.unique(owners[truth == value]))) < FOLDS:
            raise ValueError(f"{count} groups of {label} faces are too few to audit; {FOLDS} are the minimum")
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = list(splitter.split(table, truth, owners))
    scores = _out_of_fold(table, truth, folds, seed)
    singles = [(name, roc_auc(truth, _alone(table[:, i], truth, folds))) for i, name in enumerate(names)]
    features = tuple(sorted(singles, key=lambda single: -single[1]))
    return Leak(len(truth), roc_auc(truth, scores), _bootstrap(scores, truth, owners, seed), features)


def _out_of_fold(table: Floats, truth: Ints, folds: Folds, seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    known = np.where(np.isnan(table), -np.inf, table)
    varying = (known != known[:1]).any(axis=0)
    scores = np.full(len(truth), 0.5)
    if not varying.any():
        return scores
    # Trees of a few hundred rows: where another program is busy, threads wait for each other longer than they work.
    with threadpool_limits(1, user_api="openmp"):
        for train, test in folds:
            model = HistGradientBoostingClassifier(
                max_iter=40, max_leaf_nodes=8, min_samples_leaf=10, l2_regularization=1.0, random_state=seed
            )
            model.fit(table[train][:, varying], truth[train])
            scores[test] = model.predict_proba(table[test][:, varying])[:, 1]
    return scores


def _alone(values: Floats, truth: Ints, folds: Folds) -> Floats:
    """Out-of-fold share of fakes in the bin of a value, which finds leaks that are not monotone too."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else known
    # The last bin is for what is not known.
    bins = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
    scores = np.empty(len(truth))
    for train, test in folds:
        fakes = np.bincount(bins[train], truth[train], minlength=len(edges) + 2)
        counts = np.bincount(bins[train], minlength=len(edges) + 2)
        scores[test] = ((fakes + truth[train].mean()) / (counts + 1))[bins[test]]
    return scores


def _bootstrap(scores: Floats, truth: Ints, owners: Ints, seed: int) -> tuple[float, float]:
    rng, members = np.random.default_rng(seed), [np.flatnonzero(owners == owner) for owner in np.unique(owners)]
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if 0 < truth[drawn].sum() < len(drawn):
            values.append(roc_auc(truth[drawn], scores[drawn]))
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
