"""How much a run of the benchmark does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Sizes of everything.

    Attributes:
        rounds: counted ones; one more comes first and is thrown away.
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
    rounds=1,
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
