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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The cell that `dataclasses.asdict` wrote."""
        return cls(**values)


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
    """

    sha256: str = ""
    made_by: str = ""
    cells: tuple[ErrorCell, ...] = ()

    def of(self, measurements: Mapping[str, float]) -> tuple[ErrorCell, ...]:
        """The cells that a face lies in: that of its size first, then the others, the worst first."""
        inside = [cell for cell in self.cells if cell.holds(measurements)]
        return tuple(sorted(inside, key=lambda cell: (cell.measure != "face_px", -cell.error)))

    def expected(self, measurements: Mapping[str, float]) -> ErrorCell | None:
        """The cell to state: that of the size, unless the whole interval of another measurement is worse."""
        cells = self.of(measurements)
        if not cells:
            return None
        return next((cell for cell in cells[1:] if cell.error_low > cells[0].error_high), cells[0])

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
