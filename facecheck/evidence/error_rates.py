"""How often a model is wrong on faces like this one: a table that stands beside its weights, and the sentence from it.

`NAME.errors.json` is made by `python -m training errors`, on photographs and generated faces that the model did not
learn from, delivered at many sizes and qualities.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

_LIKE = {
    "face_px": "{range} pixels large",
    "sharpness": "as sharp or as blurred as this one",
    "blockiness": "as compressed as this one",
    "turned": "turned to the side as far as this one",
}


@dataclass(frozen=True)
class ErrorCell:
    """The error of forced answers on faces with one measurement in a range; photographs and fakes count the same.

    Attributes:
        measure: name of the measurement, as in `facecheck.quality.Quality`.
        low, high: the range, low included; high is None where it is open.
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

    def holds(self, value: float) -> bool:
        """Whether a measurement lies in the range."""
        return self.low <= value and (self.high is None or value < self.high)

    @property
    def range(self) -> str:
        """The range in words."""
        if self.high is None:
            return f"at least {self.low:g}"
        return f"less than {self.high:g}" if self.low == 0 else f"{self.low:g} to {self.high:g}"

    @property
    def meaning(self) -> str:
        """The sentence that people read."""
        like = _LIKE.get(self.measure, f"with {self.measure} {self.range}").format(range=self.range)
        most = f"1 in {max(round(1 / self.error_high), 1)}"
        if self.error == 0:
            return f"On {self.faces} faces {like} the model made no error; with others up to {most} is possible."
        likely = f"between 1 in {round(1 / self.error_low)} and {most}, measured on {self.faces} faces"
        return f"On faces {like} the model is wrong about 1 time in {max(round(1 / self.error), 1)} ({likely})."

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The cell that `dataclasses.asdict` wrote."""
        return cls(**values)


@dataclass(frozen=True)
class ErrorTable:
    """All cells of one model.

    Attributes:
        sha256: of the weights that were measured; the table says nothing about others.
        made_by: the command that makes it again.
    """

    sha256: str = ""
    made_by: str = ""
    cells: tuple[ErrorCell, ...] = ()

    def of(self, measurements: Mapping[str, float]) -> tuple[ErrorCell, ...]:
        """The cell of each measurement, the worst first."""
        inside = [c for c in self.cells if c.measure in measurements and c.holds(measurements[c.measure])]
        return tuple(sorted(inside, key=lambda cell: -cell.error))

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
            return cls(values["sha256"], values["made_by"], tuple(ErrorCell.from_dict(c) for c in values["cells"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"not a table of error rates ({error})") from error
