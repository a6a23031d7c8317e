import math

import pytest

from benchmarks.contests import Agreement, Contest, Contests
from benchmarks.harness import Bar, alternating, median, ratio, table_of
from benchmarks.inputs import ALL, PORTRAITS
from benchmarks.limits import Folder, Limits


def contest(name: str, naive_s: list[list[float]], folder_s: list[float], single_s: list[list[float]]) -> Contest:
    stages = {"naive": (1.0, 2.0, 3.0), "facecheck": (1.0, 1.0, 1.0)}
    agreement = Agreement(200, 210, 209, 208, 1, 207, 199)
    return Contest(name, 2, 0.5, 20, naive_s, folder_s, single_s, stages, agreement)


def test_ratios_are_those_of_the_medians() -> None:
    # Sums of the rounds: 3, 30, 4; medians 4 and 0.5. A slow round moves nothing.
    made = contest("any", [[1, 2], [10, 20], [1, 3]], [0.5, 9, 0.4], [[0.1, 0.5], [0.3, 7.0], [0.2, 0.1]])
    assert made.naive_folder_s == [3, 30, 4]
    assert made.throughput_ratio == 8
    # Pictures' medians: 1 and 3 s, 0.2 and 0.5 s.
    assert made.latency_ms == pytest.approx((2000, 350))
    assert made.latency_ratio == pytest.approx(2 / 0.35)
    assert ratio([1, 2, 9], [4, 4, 4]) == 0.5
    assert median([3, 1]) == 2


def test_phone_photos_count_together() -> None:
    once = [[0.1, 0.1]]
    sets = [
        contest("phone 2 MP", [[1, 1]], [0.5], once),
        contest("phone 40 MP", [[9, 9]], [0.5], once),
        contest(PORTRAITS, once, [0.1], once),
        contest(ALL, once, [0.1], once),
    ]
    bars = {bar.what: bar for bar in Contests(sets).bars()}
    assert bars["throughput, phone photos of all sizes together"].measured == 20
    assert bars["throughput, phone 2 MP"].measured == 4
    assert not bars["throughput, phone 2 MP"].reached
    assert bars["throughput, portraits"].measured == 2
    assert bars["faces of 40 px that only the naive stack finds, all photos"].measured == 1
    assert bars["same verdict of a face, all photos"].measured == 207 / 208
    assert bars["same verdict of a picture, all photos"].reached == (199 / 200 >= 0.995)


def test_limits_by_hand() -> None:
    # 10 pictures with 20 faces, at 0.02 s a face bare: 0.4 s to classify, 0.1 s to decode, 0.5 s for everything.
    folder = Folder(PORTRAITS, 10, 20, [0.5], [0.4], [0.1])
    limits = Limits("openvino bf16", {"read": [0.1]}, [0.025], {1: [0.03], 4: [0.02]}, [folder])
    assert folder.shares(limits.best_bare_s) == pytest.approx((0.8, 1.0))
    stage, whole = limits.bars()
    assert (stage.measured, whole.measured) == pytest.approx((0.8, 0.8))
    assert (stage.reached, whole.reached) == (False, True)


def test_bars_say_what_was_reached() -> None:
    bars = [Bar("fast", 5, 5.0), Bar("slow", 5, 4.99), Bar("small", 1.1, 1.1, True), Bar("large", 1.1, 1.2, True)]
    assert [bar.reached for bar in [*bars, Bar("unknown", 5, math.nan)]] == [True, False, True, False, False]
    lines = str(table_of(bars)).splitlines()
    assert lines[-4:] == [
        "| fast | >= 5 | 5 | reached |",
        "| slow | >= 5 | 4.99 | not reached |",
        "| small | <= 1.1 | 1.1 | reached |",
        "| large | <= 1.1 | 1.2 | not reached |",
    ]


def test_contestants_take_turns_after_a_round_that_does_not_count() -> None:
    order: list[str] = []

    def runner(name: str) -> int:
        order.append(name)
        return len(order)

    results = alternating({"a": lambda: runner("a"), "b": lambda: runner("b")}, 2)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert results == {"a": [3, 6], "b": [4, 5]}
