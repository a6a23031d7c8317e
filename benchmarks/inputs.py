"""How much a run of the benchmark does, and its pictures: photos as they are, enlarged ones, mosaics."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


@dataclass(frozen=True)
class Settings:
    """Sizes of everything.

    Attributes:
        rounds: counted ones. uncounted: rounds that come first and are thrown away.
        most: pictures of a set at most; None: all.
        folder: pictures of a folder at least; smaller sets are repeated, lest its end, where one processor has nothing
            left to do, is what is measured.
        megapixels: sizes of the enlarged photos. enlarged: photos of each size.
        crowds: faces of the mosaics that make the crowds.
        picture_counts, face_counts: how the work grows. From `ONE_ROUND_FROM` pictures on there is one round, without
            the naive stack.
        classified: faces that engines are timed on.
        stored_faces: pictures that verdicts are compared on, besides the photos.
        scans: pictures of the smaller and of the larger folder that are scanned.
    """

    rounds: int = 5
    uncounted: int = 1
    most: int | None = None
    folder: int = 40
    megapixels: tuple[int, ...] = (2, 5, 12, 24, 40)
    enlarged: int = 2
    crowds: tuple[int, ...] = (6, 9, 12, 16, 20)
    picture_counts: tuple[int, ...] = (1, 10, 100, 1000)
    face_counts: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    classified: int = 128
    stored_faces: int = 1000
    scans: tuple[int, int] = (500, 2000)


ONE_ROUND_FROM = 1000
USUAL = Settings()
FULL = Settings(picture_counts=(1, 10, 100, 1000, 10_000), scans=(500, 10_000))
QUICK = Settings(
    most=2,
    folder=2,
    megapixels=(2,),
    enlarged=1,
    crowds=(6,),
    picture_counts=(1, 5),
    face_counts=(1, 2),
    classified=8,
    stored_faces=2,
    scans=(3, 6),
)


PORTRAIT_PX = (550, 650)
PHONE_PIXELS = 2_000_000
LARGE_PX = 1000
SMALL_PX, SMALL_PICTURES = 256, 20
CELL_PX = 240
GROUND = (128, 128, 128)
QUALITY = 90
PACKAGED = {"matplotlib": "mpl-data/sample_data/grace_hopper.jpg", "skimage": "data/astronaut.png"}
PACKAGED_PX = 600
PORTRAITS, PHONE, CROWDS, ALL = "portraits", "phone", "crowds", "all photos"


@dataclass(frozen=True)
class PictureSet:
    """Pictures that are timed together."""

    name: str
    paths: tuple[Path, ...]

    def repeats(self, least: int) -> int:
        """How often they make a folder of at least so many pictures."""
        return max(-(-least // len(self.paths)), 1)


@dataclass(frozen=True)
class Inputs:
    """Everything that is measured on.

    Attributes:
        source: in words, where the photos come from.
        sets: for the contest; those of phone photos are called "phone" and their size.
        small: photos of `SMALL_PX` pixels.
        mosaics: by their number of faces, all of the same size.
        stored_faces: pictures that verdicts are compared on, besides the photos.
    """

    source: str
    sets: tuple[PictureSet, ...]
    small: tuple[Path, ...]
    mosaics: dict[int, Path]
    stored_faces: tuple[Path, ...]

    def named(self, name: str) -> PictureSet:
        """One of the sets."""
        return next(group for group in self.sets if group.name == name)


def make_inputs(photos: Path, faces: Path, folder: Path, settings: Settings) -> Inputs:
    """Choose photos and make what is not there.

    Args:
        photos: a folder of photos; where there is none, two portraits that come with matplotlib and scikit-image do.
        faces: a folder of folders of pictures, for `Inputs.stored_faces`; there may be none.
        folder: an existing, empty one for what is made.
    """
    found = _pictures_in(photos, "*")
    source = str(photos) if found else f"no photos at {photos}: Grace Hopper (matplotlib) and an astronaut (skimage)"
    found = found or list(_packaged(folder))
    sizes = {path: _size(path) for path in found}
    portraits = [path for path in found if PORTRAIT_PX[0] <= max(sizes[path]) <= PORTRAIT_PX[1]]
    large = [path for path in found if min(sizes[path]) >= LARGE_PX] or portraits
    phones = [path for path in found if np.prod(sizes[path]) >= PHONE_PIXELS]
    sets = [
        PictureSet(PORTRAITS, tuple(portraits)),
        *_phone_sets(large, phones, folder, settings),
        PictureSet(CROWDS, tuple(_crowds(found, portraits, folder, settings))),
        PictureSet(ALL, tuple(found)),
    ]
    most = max(settings.face_counts)
    return Inputs(
        source,
        tuple(PictureSet(group.name, group.paths[: settings.most]) for group in sets),
        tuple(_small(_spread(found, SMALL_PICTURES), folder)),
        {count: _mosaic(portraits, count, _grid(most), folder) for count in settings.face_counts},
        tuple(_spread(_pictures_in(faces, "**/*"), settings.stored_faces)),
    )


def _pictures_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def _packaged(folder: Path) -> Iterator[Path]:
    for package, name in PACKAGED.items():
        with (files(package) / name).open("rb") as file, Image.open(file) as opened:
            portrait = ImageOps.contain(opened.convert("RGB"), (PACKAGED_PX, PACKAGED_PX), Image.Resampling.BICUBIC)
        yield _saved(portrait, folder / f"{Path(name).stem}.jpg")


def _phone_sets(
    large: Sequence[Path], phones: Sequence[Path], folder: Path, settings: Settings
) -> Iterator[PictureSet]:
    if phones:
        yield PictureSet(f"{PHONE} as taken", tuple(phones))
    for megapixels in settings.megapixels:
        paths = [_enlarged(path, megapixels, folder) for path in _spread(large, settings.enlarged)]
        yield PictureSet(f"{PHONE} {megapixels} MP", tuple(paths))


def _crowds(found: Iterable[Path], portraits: Sequence[Path], folder: Path, settings: Settings) -> Iterator[Path]:
    yield from (path for path in found if path.stem.startswith("crowd"))
    yield from (_mosaic(portraits, count, _grid(count), folder) for count in settings.crowds)


def _enlarged(path: Path, megapixels: int, folder: Path) -> Path:
    with Image.open(path) as opened:
        scale = float(np.sqrt(megapixels * 1e6 / (opened.width * opened.height)))
        # Upwards: a picture of a little less than 2 MP is no phone photo.
        size = (int(np.ceil(opened.width * scale)), int(np.ceil(opened.height * scale)))
        picture = opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return _saved(picture, folder / f"{path.stem}-{megapixels}mp.jpg")


def _small(paths: Iterable[Path], folder: Path) -> Iterator[Path]:
    for path in paths:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.BICUBIC)
        yield _saved(picture, folder / f"{path.stem}-small.jpg")


def _grid(count: int) -> tuple[int, int]:
    """Columns and rows that hold this many cells."""
    columns = int(np.ceil(np.sqrt(count)))
    return columns, -(-count // columns)


def _mosaic(portraits: Sequence[Path], count: int, grid: tuple[int, int], folder: Path) -> Path:
    """So many portraits, over and over, each in its cell of the grid; the other cells are grey."""
    columns, rows = grid
    canvas = Image.new("RGB", (columns * CELL_PX, rows * CELL_PX), GROUND)
    for place in range(count):
        with Image.open(portraits[place % len(portraits)]) as opened:
            tile = ImageOps.fit(opened.convert("RGB"), (CELL_PX, CELL_PX), Image.Resampling.BICUBIC)
        canvas.paste(tile, (place % columns * CELL_PX, place // columns * CELL_PX))
    return _saved(canvas, folder / f"mosaic-{count}-of-{columns}x{rows}.jpg")


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """So many of them at even distances, or all where there are fewer."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return [paths[place] for place in places]


def _saved(picture: Image.Image, path: Path) -> Path:
    picture.save(path, quality=QUALITY)
    return path


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as opened:
        return opened.size
