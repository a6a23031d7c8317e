"""How often such an answer is wrong, on sources that nobody trained on: a table beside the weights, and its sentence.

With it stands what is measured of a face besides its score, for the table goes by it: how good it is to see, and
whether delivery changes the answer.

`NAME.errors.json` is made by `python -m training errors`, on whole sources of photographs and of generated faces that
neither the network nor its threshold has seen. What an answer is worth depends on how many of the faces that are asked
about are generated (Bayes): the table holds likelihoods, and the share is a setting, the prevalence.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

DEFAULT_PREVALENCE = 0.5
UNSEEN = "world"
"""The split of the data that the network has not learned from."""
_LIKE = {
    "face_px": "{range} pixels large",
    "sharpness": "as sharp or as blurred as this one",
    "blockiness": "as compressed as this one",
    "turned": "turned to the side as far as this one",
}


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
class ChanceOfError:
    """How often an answer like this one is wrong, on sources that neither the network nor its threshold has seen.

    Attributes:
        chance: in [0, 1]; low to high: 95 % interval, other sources drawn.
        prevalence: share of generated faces among those that are asked about, for which it holds.
        faces, sources: that it was measured on.
    """

    chance: float
    low: float
    high: float
    prevalence: float
    faces: int
    sources: int

    @property
    def briefly(self) -> str:
        """The same in a few words."""
        share = f"{100 * self.prevalence:g} %"
        return f"such answers are wrong {_times(self.chance)} on unseen sources if {share} of the faces are generated"

    @property
    def meaning(self) -> str:
        """The sentence that people read."""
        between = f"between {_times(self.low)} and {_times(self.high)}"
        share = f"{100 * self.prevalence:g} %"
        return (
            f"On sources that it has never seen, an answer like this one is wrong about {_times(self.chance)} "
            f"({between}), if {share} of the faces are generated; measured on {self.faces:,} faces of {self.sources} "
            "sources."
        )


@dataclass(frozen=True)
class Budget:
    """A false-accusation budget: the threshold that was chosen to keep it, and what was measured with it.

    Attributes:
        max_fpr: the share of photographed faces that may be called fake.
        threshold: a face is fake from this p_fake on.
        recall: share of the generated faces that are then called fake; recall_low to recall_high: 95 % interval.
        fpr: share of the photographed faces that are then called fake, on sources that neither the network nor the
            threshold has seen; fpr_low to fpr_high: 95 % interval. None where that was not measured.
    """

    max_fpr: float
    threshold: float
    recall: float
    recall_low: float
    recall_high: float
    fpr: float | None = None
    fpr_low: float | None = None
    fpr_high: float | None = None

    @property
    def meaning(self) -> str:
        """The sentence that people read with a verdict under this budget."""
        recall = f"{self.recall:.1%} of generated ones [95 %: {self.recall_low:.1%} to {self.recall_high:.1%}]"
        if self.fpr is None:
            asked = f"at most {self.max_fpr:.1%} of photographed faces are called fake, {recall}"
            return f"{asked}, on sources it learned from; on unseen sources that was not measured"
        fpr = f"{self.fpr:.1%} of photographed faces are called fake [95 %: {self.fpr_low:.1%} to {self.fpr_high:.1%}]"
        return f"asked for at most {self.max_fpr:.1%}; on sources it has never seen {fpr}, and {recall}"


@dataclass(frozen=True)
class AnswerBand:
    """Faces whose p_fake lies in [low, high), the last band up to 1.

    Attributes:
        faces, sources: that lie in it.
        likelihood_ratio: share of all generated faces that lie in it over that of all photographs; ratio_low to
            ratio_high: 95 % interval, whole sources drawn anew.
    """

    low: float
    high: float
    faces: int
    sources: int
    likelihood_ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True)
class ErrorCell:
    """The error of forced answers on faces with one measurement in a range; photographs and fakes count the same.

    Attributes:
        measure: name of the measurement, as in `Quality`.
        low, high: the range, low included; high is None where it is open.
        from_px, to_px: only faces of this size were counted, for small faces are blurred ones too.
        faces: on which it was measured.
        error: mean of the shares of photographs called fake and of generated faces called real; error_low to
            error_high: 95 % interval (Wilson 1927).
    """

    measure: str
    low: float
    high: float | None
    faces: int
    error: float
    error_low: float
    error_high: float
    from_px: float = 0.0
    to_px: float | None = None

    def holds(self, measurements: Mapping[str, float]) -> bool:
        """Whether a face lies in the range and has the size."""
        if self.measure not in measurements or "face_px" not in measurements:
            return False
        size = _within(measurements["face_px"], self.from_px, self.to_px)
        return size and _within(measurements[self.measure], self.low, self.high)

    @property
    def range(self) -> str:
        """The range in words."""
        return _range(self.low, self.high)

    @property
    def meaning(self) -> str:
        """The sentence that people read."""
        like = _LIKE.get(self.measure, f"with {self.measure} {self.range}").format(range=self.range)
        if self.from_px or self.to_px is not None:
            like = f"of {_range(self.from_px, self.to_px)} pixels, {like},"
        most = f"1 in {max(round(1 / self.error_high), 1)}"
        if self.error == 0:
            return f"On {self.faces} faces {like} the model made no error; with others up to {most} is possible."
        likely = f"between 1 in {round(1 / self.error_low)} and {most}, measured on {self.faces} faces"
        return f"On faces {like} the model is wrong about 1 time in {max(round(1 / self.error), 1)} ({likely})."


def require_prevalence(value: float) -> float:
    """The value, if it is a share of generated faces that an answer can be weighed with.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < value < 1:
        raise ValueError(f"prevalence is {value!r}; it must be a share between 0 and 1, such as 0.5 or 0.01")
    return value


def _times(chance: float) -> str:
    """As people say it: 1 time in 7, 30 times in 100."""
    if chance <= 0:
        return "never"
    return f"1 time in {round(1 / chance)}" if chance < 0.15 else f"{round(100 * chance)} times in 100"


def _within(value: float, low: float, high: float | None) -> bool:
    return low <= value and (high is None or value < high)


def _range(low: float, high: float | None) -> str:
    if high is None:
        return f"at least {low:g}"
    return f"less than {high:g}" if low == 0 else f"{low:g} to {high:g}"


@dataclass(frozen=True)
class ErrorTable:
    """All cells of one model.

    Attributes:
        sha256: of the weights that were measured; the table says nothing about others.
        made_by: the command that makes it again.
        split: of the data that it was measured on; only "world" is of sources that the network has not learned from.
        cells: errors by measurement.
        bands: what an answer is worth, by p_fake, rising.
    """

    sha256: str = ""
    made_by: str = ""
    cells: tuple[ErrorCell, ...] = ()
    split: str = ""
    bands: tuple[AnswerBand, ...] = ()

    def of(self, measurements: Mapping[str, float]) -> tuple[ErrorCell, ...]:
        """The cells that a face lies in: that of its size first, then the others, the worst first."""
        inside = [cell for cell in self.cells if cell.holds(measurements)]
        return tuple(sorted(inside, key=lambda cell: (cell.measure != "face_px", -cell.error)))

    def to_json(self) -> str:
        """The table as JSON text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The table that `to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        try:
            values = json.loads(text)
            cells = tuple(ErrorCell(**cell) for cell in values["cells"])
            # 0.2.0 knew neither.
            bands = tuple(AnswerBand(**band) for band in values.get("bands", ()))
            return cls(values["sha256"], values["made_by"], cells, values.get("split", ""), bands)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"not a table of error rates ({error})") from error
