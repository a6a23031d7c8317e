"""Which attribute values the accepted pictures have, against what the plan asked for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_generation.plan import Plan

UNPLANNED = "cell"
"""The attribute under which pictures of cells that the plan does not have are counted."""


@dataclass(frozen=True)
class Coverage:
    """One attribute value: pictures planned, and pictures that came out."""

    attribute: str
    value: str
    planned: int
    achieved: int


def coverage(plan: Plan, accepted_cell_ids: Iterable[str]) -> list[Coverage]:
    """One row for each value that is planned or has come out, in the order of the plan.

    Args:
        plan: what was asked for.
        accepted_cell_ids: the cell of every accepted picture, so an id comes once for each picture. Pictures of cells
            that the plan does not have (any more) are counted in a last row of their own.
    """
    known = {cell.id: cell.attributes for cell in plan.cells}
    pictures = Counter(accepted_cell_ids)
    achieved: Counter[tuple[str, str]] = Counter()
    for cell, count in pictures.items():
        for pair in known.get(cell, {}).items():
            achieved[pair] += count
    planned = plan.planned()
    rows = [Coverage(*pair, planned[pair], achieved[pair]) for pair in planned if planned[pair] or achieved[pair]]
    strangers = sum(count for cell, count in pictures.items() if cell not in known)
    return rows + ([Coverage(UNPLANNED, "not in the plan", 0, strangers)] if strangers else [])


def markdown(rows: Sequence[Coverage]) -> str:
    """A table with the share of what was planned."""
    lines = ["| attribute | value | planned | achieved | share |", "|---|---|---:|---:|---:|"]
    for row in rows:
        share = f"{row.achieved / row.planned:.0%}" if row.planned else ""
        lines.append(f"| {row.attribute} | {row.value} | {row.planned} | {row.achieved} | {share} |")
    return "\n".join(lines)
