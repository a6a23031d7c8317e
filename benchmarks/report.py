"""Tables, and the bars that the numbers are held against."""

from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True)
class Table:
    """Rows under a title; cells are words or numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]

    def __str__(self) -> str:
        lines = [self.columns, ("---",) * len(self.columns), *(tuple(map(_cell, row)) for row in self.rows)]
        return "\n".join([f"## {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


@dataclass(frozen=True)
class Bar:
    """What was wanted, and what was measured.

    Attributes:
        at_most: the measured value must not be above the wanted one; else it must not be below.
    """

    what: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """False also for NaN: what was not measured is not reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


class Part(Protocol):
    """A dataclass with raw measurements that knows how to show them."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def tables(self) -> list[Table]:
        """What a reader sees."""
        ...

    def bars(self) -> list[Bar]:
        """What the issue asks of these numbers; empty if it asks for nothing."""
        ...


def table_of(bars: list[Bar]) -> Table:
    """All bars, beside what was measured."""
    rows: list[tuple[object, ...]] = [
        (
            bar.what,
            f"{'<=' if bar.at_most else '>='} {bar.wanted:g}",
            f"{bar.measured:.4g}",
            "reached" if bar.reached else "not reached",
        )
        for bar in bars
    ]
    return Table("Bars", ("what", "wanted", "measured", ""), rows)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
