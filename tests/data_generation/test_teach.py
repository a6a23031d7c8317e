"""Half of the images teach, the other half asks: no group stands in both."""

from collections import Counter
from dataclasses import replace

import pytest

from data_generation.errors import GenerationError
from data_generation.export import group_of
from data_generation.record import TXT2IMG, Recipe, Row
from data_generation.teach import Dealer, halves, teach


def rows(count: int, each: int = 1) -> list[Row]:
    row = Row(Recipe("m", "r", TXT2IMG, 0), "a.png", "0", "0", (), 50.0, 0.0, None, (), "mit")
    return [
        replace(row, recipe=Recipe("m", "r", TXT2IMG, number, index, cell=f"c{number}"))
        for number in range(count)
        for index in range(each)
    ]


def test_halves_share_no_group_and_do_not_depend_on_the_order():
    images = rows(31, each=3)
    learned, asked = halves(images)
    assert {group_of(row) for row in learned}.isdisjoint(group_of(row) for row in asked)
    assert sorted(row.id for row in learned + asked) == sorted(row.id for row in images)
    assert abs(len(learned) - len(asked)) == 3
    assert halves(images[::-1]) == (learned, asked)


def test_fifteen_groups_reach_every_split():
    deal = Dealer()
    splits = Counter(deal(f"g{number}") for number in range(15))
    assert splits["train"] >= 9
    assert splits["val"] >= 2
    assert splits["test"] >= 2
    assert deal("g2") == "test" == deal("g2")
    assert Counter(deal(f"g{number}") for number in range(15)) == splits


def test_too_few_images_are_said_to_be_too_few(tmp_path):
    with pytest.raises(GenerationError, match="too few"):
        teach(tmp_path, rows(5), tmp_path / "out", tmp_path, [], None, 48)
