"""A table stays a table, whatever stands in it."""

from training.evaluation.metrics import table


def test_a_table_has_its_lines():
    lines = ["| source | faces |", "|---|---|", "| a | 3 |", "| b | 4.5 |"]
    assert table(["source", "faces"], [("a", 3), ("b", 4.5)]).split("\n") == lines
    assert table(["source"], []) == "| source |\n|---|"


def test_a_name_ends_neither_its_cell_nor_its_row():
    assert table(["name"], [["a | b\nc"]]).split("\n")[2:] == ["| a \\| b c |"]
