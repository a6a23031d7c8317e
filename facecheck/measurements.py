"""What is measured of a face besides its score: how good it is to see, and whether delivery changes the answer."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Stability:
    """How the score of a face moves when the picture is saved and resized again, as websites and messengers do.

    Attributes:
        p_fake: of each delivered copy, in [0, 1].
        deliveries: what was done to each copy, in words.
        low, high: range of p_fake over the copies and the face as given.
        flips: whether a copy falls on the other side of the threshold.
    """

    p_fake: tuple[float, ...]
    deliveries: tuple[str, ...]
    low: float
    high: float
    flips: bool

    @property
    def meaning(self) -> str:
        """The sentence that people read."""
        moved = f"the score lies between {self.low:.2f} and {self.high:.2f} when the picture is saved or resized again"
        return f"{moved}: {'the answer changes with it' if self.flips else 'the answer stays the same'}"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The stability that `Prediction.to_dict` wrote."""
        lists = {name: tuple(values[name]) for name in ("p_fake", "deliveries")}
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class Quality:
    """What was measured of one face, by `facecheck.quality.measure`.

    Attributes:
        face_px: longer side of the box, pixels of the picture as given.
        sharpness: standard deviation of the Laplacian of the classifier's input, grey levels; falls with blur and with
            enlargement (the variance of the Laplacian: Pech-Pacheco et al. 2000).
        blockiness: mean step across the borders of the 8x8 JPEG grid over the mean step elsewhere, in the face's
            original pixels; 1 = no trace of blocks, grows as the quality falls (after Wang, Sheikh, Bovik 2002). A
            picture that was resized or shifted after compression shows none.
        outside: share of the box that lies outside the picture, in [0, 1].
        turned: how far the nose lies beside the middle of the eyes and the mouth, over the distance of the eyes: 0 =
            frontal, 0.5 = about 40 degrees to a side. 0 also where there are no landmarks.
    """

    face_px: float
    sharpness: float
    blockiness: float
    outside: float
    turned: float = 0.0
