"""The attribute plan: which people, seen how, shall be in the data, how many of each, and how many came out.

A JSON file to be edited.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_generation import PlanError
from data_generation.attributes import DEFAULTS, STRATA, Attributes, SamplingError, Weights, draw
from data_generation.use_cases import USE_CASE, suit
from facecheck.files import sha256_of, write_atomically
from training.evaluation.metrics import table

FORMAT = 1
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
LARGEST_COUNT = 1_000_000
UNPLANNED = "cell"
"""The attribute under which pictures of cells that the plan does not have are counted."""


@dataclass(frozen=True)
class Cell:
    """One kind of picture.

    Attributes:
        id: stable name; prompts, images and reports refer to it.
        attributes: attribute -> value.
        count: pictures wanted, each with a prompt of its own.
    """

    id: str
    attributes: Attributes
    count: int


@dataclass(frozen=True)
class Plan:
    """Cells, and the values and weights that they were drawn from."""

    seed: int
    weights: Weights
    cells: tuple[Cell, ...]

    @property
    def total(self) -> int:
        """Pictures wanted."""
        return sum(cell.count for cell in self.cells)

    def planned(self) -> Counter[tuple[str, str]]:
        """(attribute, value) -> pictures wanted."""
        return Counter({
            (name, value): sum(cell.count for cell in self.cells if cell.attributes[name] == value)
            for name, values in self.weights.items()
            for value in values
        })  # fmt: skip

    def to_json(self) -> str:
        """One line for each attribute and each cell, so that a person can edit it."""
        weights = _lines(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in self.weights.items())
        cells = _lines(json.dumps(vars(cell)) for cell in self.cells)
        return (
            f'{{\n  "format": {FORMAT},\n  "seed": {self.seed},\n'
            f'  "attributes": {{\n{weights}\n  }},\n  "cells": [\n{cells}\n  ]\n}}\n'
        )

    def save(self, path: Path) -> None:
        write_atomically(path, self.to_json().encode())

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read and check a plan file.

        Raises:
            PlanError: it is not a plan; the message names the file, the cell and the field.
        """
        try:
            return _plan(json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise PlanError(f"{path} is not JSON: {error}") from error
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error


def make_plan(cells: int, seed: int = 0, count: int = 1, weights: Weights = DEFAULTS) -> Plan:
    """Draw a plan of `cells` cells with `count` pictures each.

    Raises:
        PlanError: the numbers or the weights leave nothing to draw.
    """
    if cells < 1 or count < 1:
        raise PlanError(f"a plan needs at least one cell and one picture a cell, got {cells} and {count}")
    _check_weights(weights)
    try:
        drawn = draw(weights, cells, seed)
        if USE_CASE in weights:
            suit(drawn, weights, seed)
    except SamplingError as error:
        raise PlanError(str(error)) from error
    same: Counter[str] = Counter()
    made = []
    for attributes in drawn:
        text = json.dumps(attributes, sort_keys=True)
        same[text] += 1
        made.append(Cell(_identifier(attributes, f"{text}{same[text]}"), attributes, count))
    return Plan(seed, weights, tuple(made))


def reweighted(weights: Weights, changes: Mapping[tuple[str, str], float]) -> Weights:
    """A copy of `weights` with other weights for some (attribute, value) pairs.

    Raises:
        PlanError: there is no such attribute or value.
    """
    copy = {name: dict(values) for name, values in weights.items()}
    for (name, value), weight in changes.items():
        if name not in copy:
            raise PlanError(f"there is no attribute {name!r}: choose one of {', '.join(copy)}")
        if value not in copy[name]:
            raise PlanError(f"{name} has no value {value!r}: choose one of {', '.join(copy[name])}")
        copy[name][value] = weight
    return copy


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

    def share(row: Coverage) -> str:
        return f"{row.achieved / row.planned:.0%}" if row.planned else ""

    lines = ((row.attribute, row.value, row.planned, row.achieved, share(row)) for row in rows)
    return table(("attribute", "value", "planned", "achieved", "share"), lines)


def _identifier(attributes: Attributes, text: str) -> str:
    names = [re.sub(r"[^A-Za-z0-9]+", "-", attributes[name])[:16] for name in STRATA]
    return "-".join([*names, sha256_of(text.encode())[:8]])


def _lines(items: Any) -> str:
    return ",\n".join(f"    {item}" for item in items)


def _plan(data: Any) -> Plan:
    _check_keys("the plan", data, {"format", "seed", "attributes", "cells"})
    if data["format"] != FORMAT:
        raise PlanError(f"format is {data['format']!r}, this version reads {FORMAT}: make the plan again")
    if not _is_integer(data["seed"]):
        raise PlanError(f"seed must be an integer, got {data['seed']!r}")
    _check_weights(data["attributes"])
    if not isinstance(data["cells"], list) or not data["cells"]:
        raise PlanError("cells must be a list of at least one cell")
    cells = tuple(_cell(number, cell, data["attributes"]) for number, cell in enumerate(data["cells"], 1))
    twice = [name for name, times in Counter(cell.id for cell in cells).items() if times > 1]
    if twice:
        raise PlanError(f"two cells have the id {twice[0]!r}: ids must be unique")
    return Plan(data["seed"], data["attributes"], cells)


def _cell(number: int, data: Any, weights: Weights) -> Cell:
    where = f"cell {number}"
    _check_keys(where, data, {"id", "attributes", "count"})
    if not isinstance(data["id"], str) or not IDENTIFIER.fullmatch(data["id"]):
        raise PlanError(f"{where}: id must be 1 to 80 letters, digits, dots, dashes or underscores, got {data['id']!r}")
    where = f"cell {data['id']}"
    if not _is_integer(data["count"]) or not 0 <= data["count"] <= LARGEST_COUNT:
        raise PlanError(f"{where}: count must be an integer from 0 to {LARGEST_COUNT}, got {data['count']!r}")
    _check_keys(f"{where}: attributes", data["attributes"], set(weights))
    for name, value in data["attributes"].items():
        if not isinstance(value, str) or value not in weights[name]:
            known = ", ".join(weights[name])
            raise PlanError(f"{where}: {name} is {value!r}, not one of {known}: correct it, or add it to attributes")
    return Cell(data["id"], data["attributes"], data["count"])


def _check_keys(where: str, data: Any, keys: set[str]) -> None:
    if not isinstance(data, dict):
        raise PlanError(f"{where} must be an object with {', '.join(sorted(keys))}, got {data!r:.60}")
    for missing in sorted(keys - set(data)):
        raise PlanError(f"{where} has no {missing!r}")
    for unknown in sorted(set(data) - keys):
        raise PlanError(f"{where} has an unknown field {unknown!r}")


def _check_weights(weights: Any) -> None:
    if not isinstance(weights, dict):
        raise PlanError("attributes must be an object of attribute -> value -> weight")
    for name in STRATA:
        if name not in weights:
            raise PlanError(f"attributes must have {name!r}")
    for name, values in weights.items():
        if not isinstance(values, dict) or not values or "" in values:
            raise PlanError(f"attributes: {name} must be an object of value -> weight")
        for value, weight in values.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise PlanError(f"attributes: the weight of {name} {value!r} must be a number from 0, got {weight!r}")
        if not sum(values.values()):
            raise PlanError(f"attributes: all weights of {name} are 0")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
