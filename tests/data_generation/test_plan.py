import itertools
import json
from collections import Counter

import pytest
from click.testing import CliRunner

from data_generation import PlanError
from data_generation.attributes import DEFAULTS, EXCLUSIONS, STRATA, implausible, reweighted
from data_generation.cli import main
from data_generation.plan import Plan, make_plan


@pytest.fixture(scope="module")
def plan():
    return make_plan(150, seed=3)


@pytest.fixture
def edited(plan, tmp_path):
    """Writes the plan as a person has edited it."""

    def edit(change):
        data = json.loads(plan.to_json())
        change(data)
        path = tmp_path / "edited.json"
        path.write_text(json.dumps(data))
        return path

    return edit


def test_age_gender_and_skin_tone_are_crossed_fully_and_equally(plan):
    strata = Counter(tuple(cell.attributes[name] for name in STRATA) for cell in plan.cells)
    assert set(strata) == set(itertools.product(*(DEFAULTS[name] for name in STRATA)))
    assert set(strata.values()) == {1}


@pytest.mark.parametrize(("cells", "seed"), [(1, 0), (7, 1), (40, 2), (150, 3), (197, 4)])
def test_every_value_comes_as_often_as_its_weight_asks_to_within_one(cells, seed):
    made = make_plan(cells, seed)
    for name, values in DEFAULTS.items():
        seen = Counter(cell.attributes[name] for cell in made.cells)
        for value, weight in values.items():
            assert abs(seen[value] - cells * weight / sum(values.values())) < 1, (name, value)


def test_nothing_implausible_is_drawn(plan):
    assert not any(implausible(cell.attributes) for cell in plan.cells)
    for cell in plan.cells:
        if cell.attributes["facial_hair"] != "none":
            assert cell.attributes["gender"] == "masculine"
            assert cell.attributes["age"] not in {"child", "teenager"}
    assert implausible({"age": "child", "facial_hair": "beard"})


def test_exclusions_name_values_that_exist():
    for exclusion in EXCLUSIONS:
        assert set(exclusion.values) <= set(DEFAULTS[exclusion.attribute])
        assert set(exclusion.others) <= set(DEFAULTS[exclusion.other])


def test_neighbours_are_spread_over_the_other_attributes(plan):
    for start in range(0, 150, 30):
        seen = Counter(cell.attributes["expression"] for cell in plan.cells[start : start + 30])
        assert len(seen) == 8
        assert max(seen.values()) <= 7


def test_the_seed_decides(plan):
    assert make_plan(150, seed=3) == plan
    assert make_plan(150, seed=4).cells != plan.cells


def test_a_weight_of_zero_leaves_a_value_out():
    weights = reweighted(DEFAULTS, {("age", "child"): 0, ("eyewear", "sunglasses"): 0.5})
    seen = make_plan(120, weights=weights).planned()
    assert seen["age", "child"] == 0
    assert seen["age", "elderly"] == 30
    assert abs(seen["eyewear", "sunglasses"] - 120 * 0.5 / 5.5) < 1


def test_weights_that_leave_only_implausible_cells_are_refused():
    weights = reweighted(DEFAULTS, {("facial_hair", "none"): 0})
    with pytest.raises(PlanError, match=r"no plausible place for so many cells with facial_hair .* lower its weight"):
        make_plan(60, weights=weights)


def test_a_plan_survives_its_file_and_has_one_line_for_each_cell(plan, tmp_path):
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    text = (tmp_path / "plan.json").read_text()
    assert sum('"id"' in line for line in text.splitlines()) == len(plan.cells)
    assert len({cell.id for cell in plan.cells}) == 150


def test_a_person_may_change_counts_values_and_cells(plan, edited):
    def change(data):
        data["cells"][0]["count"] = 7
        data["attributes"]["setting"]["boat"] = 1
        data["cells"][1]["attributes"]["setting"] = "boat"
        del data["cells"][2]

    loaded = Plan.load(edited(change))
    assert loaded.total == 155
    assert loaded.cells[1].attributes["setting"] == "boat"
    assert loaded.cells[1].id == plan.cells[1].id


MISTAKES = {
    "format is 9": lambda data: data.update(format=9),
    "seed must be an integer": lambda data: data.update(seed="x"),
    "has no 'cells'": lambda data: data.pop("cells"),
    "cells must be a list": lambda data: data.update(cells=[]),
    "two cells have the id": lambda data: data["cells"].append(data["cells"][0]),
    "cell 1: id must be": lambda data: data["cells"][0].update(id="../etc"),
    "cell c1: count must be an integer from 0": lambda data: data["cells"][0].update(id="c1", count=-1),
    "cell c2: count must be": lambda data: data["cells"][1].update(id="c2", count=True),
    "cell c3: hair is 'bald', not one of": lambda data: data["cells"][0].update(
        id="c3", attributes=data["cells"][0]["attributes"] | {"hair": "bald"}
    ),
    "cell c4: attributes has no 'hair'": lambda data: (
        data["cells"][0].update(id="c4"),
        data["cells"][0]["attributes"].pop("hair"),
    ),
    "cell 1 has an unknown field 'cuont'": lambda data: data["cells"][0].update(cuont=2),
    "the weight of hair 'braided' must be": lambda data: data["attributes"]["hair"].update(braided="many"),
    "all weights of hair are 0": lambda data: data["attributes"].update(hair={"braided": 0}),
    "attributes must have 'age'": lambda data: data["attributes"].pop("age"),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named_in_one_line(edited, message):
    path = edited(MISTAKES[message])
    with pytest.raises(PlanError, match=message) as caught:
        Plan.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[1]"])
def test_what_is_no_plan_is_refused(tmp_path, content):
    (tmp_path / "no.json").write_bytes(content)
    with pytest.raises(PlanError, match=r"no\.json"):
        Plan.load(tmp_path / "no.json")


def test_the_command_writes_a_plan_and_does_not_overwrite_an_edited_one(tmp_path):
    out, other = str(tmp_path / "plan.json"), str(tmp_path / "other.json")
    run = CliRunner().invoke
    made = run(main, ["plan", out, "--cells", "20", "--per-cell", "3", "--weight", "age", "child", "0"])
    assert (made.exit_code, made.output.strip()) == (0, f"{out}: 20 cells, 60 pictures")
    again = run(main, ["plan", out, "--cells", "20"])
    assert (again.exit_code, again.output.count("\n")) == (1, 1)
    assert "--force" in again.output
    assert run(main, ["plan", other, "--cells", "20", "--like", out]).exit_code == 0
    assert Plan.load(tmp_path / "other.json").weights["age"]["child"] == 0
    wrong = run(main, ["plan", other, "--force", "--weight", "hair", "blue", "1"])
    assert wrong.exit_code == 1
    assert wrong.output.startswith("Error: hair has no value 'blue': choose one of")
