"""Rounds in which the contestants take turns, and what is said about them."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")
REST_S = 0.05
"""After a run, until the threads of its pools sleep: they spin for a while and would take time from who comes next."""


def alternating(contestants: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, list[Result]]:
    """Let every contestant run once a round, forwards and backwards by turns, after one round that is not counted.

    Returns:
        What each gave in each counted round.
    """
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name in list(contestants) if number % 2 else reversed(list(contestants)):
            gc.collect()  # Nobody pays for the garbage of another.
            time.sleep(REST_S)
            result = contestants[name]()
            if number:
                results[name].append(result)
    return results


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    """As a plain float."""
    return float(np.median(values))


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as long one takes as the other, by the medians of their rounds."""
    return median(slower) / median(faster)
