"""Tables for people, as Markdown: what is printed, and what reports and cards are made of."""

from collections.abc import Iterable, Sequence


def line(cells: Iterable[object]) -> str:
    """One row. Names of sources and generators are anybody's: no cell ends early, no row does."""
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def head(names: Sequence[object]) -> tuple[str, str]:
    """The two lines that begin a table."""
    return line(names), "|" + "---|" * len(names)


def table(names: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """A whole table; empty `rows` leave its head."""
    return "\n".join([*head(names), *map(line, rows)])
