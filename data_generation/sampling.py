"""Cells for a plan: three attributes crossed, the others spread evenly over them.

A full cross product of thirteen attributes would need billions of pictures, and independent draws would leave some
values short by chance. Here every value is used as often as its weight asks, to within one cell, and consecutive cells
(which share age, gender and skin tone) see many different values, as in a Latin hypercube (McKay et al. 1979).
"""

import contextlib
import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping

from data_generation.attributes import STRATA, Weights, implausible

Attributes = dict[str, str]
TRIES = 20
"""A small plan may draw values that have no place beside each other; it then draws again."""


class SamplingError(ValueError):
    """The weights ask for more implausible combinations than can be avoided."""


def draw(weights: Weights, cells: int, seed: int) -> list[Attributes]:
    """`cells` plausible combinations of the values in `weights`, ordered by stratum.

    Raises:
        SamplingError: an attribute has no plausible place for one of its values.
    """
    for attempt in range(1, TRIES):
        with contextlib.suppress(SamplingError):
            return _drawn(weights, cells, random.Random(f"{seed}/{attempt}"))
    return _drawn(weights, cells, random.Random(f"{seed}/{TRIES}"))


def _drawn(weights: Weights, cells: int, rng: random.Random) -> list[Attributes]:
    drawn = _strata(weights, cells, rng)
    for attribute, values in weights.items():
        if attribute not in STRATA:
            _spread(attribute, values, drawn, rng)
    return drawn


def quotas(weights: Mapping[str, float], total: int, rng: random.Random) -> dict[str, int]:
    """How often each value is due in `total` cells, by largest remainders: within one of its weighted share."""
    exact = {value: total * weight / sum(weights.values()) for value, weight in weights.items()}
    due = {value: int(share) for value, share in exact.items()}
    behind = sorted(exact, key=lambda value: (due[value] - exact[value], rng.random()))
    for value in behind[: total - sum(due.values())]:
        due[value] += 1
    return due


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
            raise SamplingError(
                f"no plausible place for so many cells with {attribute} {values[cell]!r}: lower its weight"
            )
        values[cell], values[swap] = values[swap], values[cell]
    for attributes, value in zip(cells, values, strict=True):
        attributes[attribute] = value
