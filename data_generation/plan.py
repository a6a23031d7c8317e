"""The attribute plan: which people, seen how, shall be in the data, and how many of each; a JSON file to be edited.

In a cell three attributes are crossed, and the others spread evenly over the cells. A full cross product of thirteen
attributes would need billions of pictures, and independent draws would leave some values short by chance. Here every
value is used as often as its weight asks, to within one cell, and consecutive cells (which share age, gender and skin
tone) see many different values, as in a Latin hypercube (McKay et al. 1979).
"""

import contextlib
import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_generation import PlanError
from data_generation.attributes import (
    DEFAULTS,
    STRATA,
    USE_CASE,
    USE_CASES,
    Attributes,
    Weights,
    check_weights,
    implausible,
    is_minor,
    quotas,
)  # fmt: skip
from facecheck.files import sha256_of, write_atomically

FORMAT = 1
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
LARGEST_COUNT = 1_000_000
TRIES = 20
"""A small plan may draw values that have no place beside each other; it then draws again."""


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
    check_weights(weights)
    drawn = draw(weights, cells, seed)
    if USE_CASE in weights:
        suit(drawn, weights, seed)
    same: Counter[str] = Counter()
    made = []
    for attributes in drawn:
        text = json.dumps(attributes, sort_keys=True)
        same[text] += 1
        made.append(Cell(_identifier(attributes, f"{text}{same[text]}"), attributes, count))
    return Plan(seed, weights, tuple(made))


def draw(weights: Weights, cells: int, seed: int) -> list[Attributes]:
    """`cells` plausible combinations of the values in `weights`, ordered by stratum.

    Raises:
        PlanError: an attribute has no plausible place for one of its values.
    """
    for attempt in range(1, TRIES):
        with contextlib.suppress(PlanError):
            return _drawn(weights, cells, random.Random(f"{seed}/{attempt}"))
    return _drawn(weights, cells, random.Random(f"{seed}/{TRIES}"))


def _drawn(weights: Weights, cells: int, rng: random.Random) -> list[Attributes]:
    drawn = _strata(weights, cells, rng)
    for attribute, values in weights.items():
        if attribute not in STRATA:
            _spread(attribute, values, drawn, rng)
    return drawn


def _strata(weights: Weights, cells: int, rng: random.Random) -> list[Attributes]:
    """Strata for every cell: of those whose values are all still due, each time the one furthest behind its share."""
    due = [quotas(weights[name], cells, rng) for name in STRATA]
    shares = {
        stratum: math.prod(weights[name][value] for name, value in zip(STRATA, stratum, strict=True))
        for stratum in itertools.product(*(weights[name] for name in STRATA))
    }
    order = [stratum for stratum, share in shares.items() if share > 0]
    rng.shuffle(order)
    used: Counter[tuple[str, ...]] = Counter()

    def behind(stratum: tuple[str, ...]) -> tuple[float, float]:
        values = zip(STRATA, due, stratum, strict=True)
        return (used[stratum] + 0.5) / shares[stratum], -sum(left[v] / weights[name][v] for name, left, v in values)

    for _ in range(cells):
        possible = (one for one in order if all(left[value] for left, value in zip(due, one, strict=True)))
        stratum = min(possible, key=behind)
        used[stratum] += 1
        for left, value in zip(due, stratum, strict=True):
            left[value] -= 1
    return [dict(zip(STRATA, stratum, strict=True)) for stratum in shares for _ in range(used[stratum])]


def _spread(attribute: str, weights: Mapping[str, float], cells: list[Attributes], rng: random.Random) -> None:
    """Give every cell a value of `attribute`: each value at about equal distances, then away from implausible cells."""
    places = [
        ((turn + rng.random()) / count, value)
        for value, count in quotas(weights, len(cells), rng).items()
        for turn in range(count)
    ]
    values = [value for _, value in sorted(places)]

    def fits(cell: int, value: str) -> bool:
        return not implausible(cells[cell] | {attribute: value})

    for cell in range(len(cells)):
        if fits(cell, values[cell]):
            continue
        others = rng.sample(range(len(cells)), len(cells))
        swap = next((other for other in others if fits(cell, values[other]) and fits(other, values[cell])), None)
        if swap is None:
            raise PlanError(f"no plausible place for so many cells with {attribute} {values[cell]!r}: lower its weight")
        values[cell], values[swap] = values[swap], values[cell]
    for attributes, value in zip(cells, values, strict=True):
        attributes[attribute] = value


def suit(cells: Sequence[Attributes], weights: Weights, seed: int) -> None:
    """Give every cell, in place, values that suit its use case: plausible ones, each about as often as the others.

    A use that a person added to the plan asks for nothing. Values of weight 0 are not drawn.

    Raises:
        PlanError: there are too few adults, or no value is left for a use case.
    """
    rng = random.Random(f"{seed}/{USE_CASE}")
    _keep_minors_out(cells, rng)
    used: Counter[tuple[str, str, str]] = Counter()
    for cell in cells:
        case = cell[USE_CASE]
        for attribute, values in (USE_CASES[case].allowed if case in USE_CASES else {}).items():
            possible = [value for value in values if weights[attribute].get(value, 0) > 0]
            fitting = [value for value in possible if not implausible(_others(cell, attribute) | {attribute: value})]
            if not fitting:
                raise PlanError(f"no {attribute} suits the use case {case!r}: give one of its values a weight")
            rng.shuffle(fitting)
            counts = {value: used[case, attribute, value] for value in fitting}
            value = min(fitting, key=counts.__getitem__)
            used[case, attribute, value] += 1
            cell[attribute] = value


def _others(cell: Attributes, attribute: str) -> Attributes:
    """What a value must go with: a cell without what is still to be drawn for its use case."""
    names = list(USE_CASES[cell[USE_CASE]].allowed)
    later = set(names[names.index(attribute) :])
    return {name: value for name, value in cell.items() if name not in later}


def _keep_minors_out(cells: Sequence[Attributes], rng: random.Random) -> None:
    adult_only = {name for name, case in USE_CASES.items() if case.adults}
    wrong = [cell for cell in cells if cell[USE_CASE] in adult_only and is_minor(cell["age"])]
    free = [cell for cell in cells if cell[USE_CASE] not in adult_only and not is_minor(cell["age"])]
    if len(wrong) > len(free):
        raise PlanError("too few adults for the use cases that show adults only: lower the weight of minors")
    for cell, other in zip(wrong, rng.sample(free, len(wrong)), strict=True):
        cell[USE_CASE], other[USE_CASE] = other[USE_CASE], cell[USE_CASE]


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
    check_weights(data["attributes"])
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


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
