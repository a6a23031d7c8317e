"""A plan with use cases draws what suits each of them, and says it in the words that a model likes."""

from collections import Counter

import pytest

from data_generation import PlanError
from data_generation.attributes import (
    DEFAULTS,
    EXTRA,
    GROUP,
    NONE,
    USE_CASE,
    USE_CASES,
    is_minor,
    reweighted,
    with_use_cases,
)
from data_generation.gate import Measurements, coverage, reasons
from data_generation.plan import Plan, make_plan
from data_generation.prompts import (
    DIALECTS,
    INSTRUCTIONS,
    SENTENCES,
    TAGS,
    PromptTask,
    Rules,
    write_prompts,
)
from data_generation.prompts.template import PHRASES, TemplateWriter
from data_generation.record import read_prompts

WEIGHTS = with_use_cases(DEFAULTS)


@pytest.mark.parametrize(("cells", "seed"), [(600, 0), (150, 1), (40, 2), (8, 3)])
def test_every_cell_has_what_suits_its_use(cells, seed):
    plan = make_plan(cells, seed, weights=WEIGHTS)
    uses = Counter(cell.attributes[USE_CASE] for cell in plan.cells)
    assert max(uses.values()) - min(uses.values()) <= 1
    for cell in plan.cells:
        case = USE_CASES[cell.attributes[USE_CASE]]
        assert all(cell.attributes[name] in values for name, values in case.allowed.items())
        assert not (case.adults and is_minor(cell.attributes["age"]))


def test_no_use_has_one_place_or_one_light_unless_it_asks_for_it():
    plan = make_plan(600, weights=WEIGHTS)
    for name, case in USE_CASES.items():
        cells = [cell.attributes for cell in plan.cells if cell.attributes[USE_CASE] == name]
        for attribute, values in case.allowed.items():
            assert {cell[attribute] for cell in cells} == set(values), (name, attribute)
    settings = Counter(cell.attributes["lighting"] for cell in plan.cells)
    assert settings["studio softbox"] < 0.1 * 600, "snapshots outnumber studios"


def test_every_value_of_a_use_case_is_one_that_the_plan_and_the_templates_know():
    for case in USE_CASES.values():
        for attribute, values in case.allowed.items():
            assert set(values) <= set(WEIGHTS[attribute])
            assert set(values) - {NONE} <= set(PHRASES[attribute])
    assert all(not set(values) & set(DEFAULTS[name]) for name, values in EXTRA.items())


def test_such_a_plan_is_a_file_like_any_other(tmp_path):
    plan = make_plan(16, weights=WEIGHTS)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    found = {row.value: row for row in coverage(plan, [plan.cells[0].id])}
    assert found["company headshot"].planned == 2
    none = [("age", age) for age in ("young adult", "middle-aged", "elderly")]
    none += [("facial_hair", hair) for hair in ("stubble", "moustache", "beard")]
    none += [("hair_colour", "grey"), ("hair", "shaved"), ("hair_colour", "dyed")]
    with pytest.raises(PlanError, match="too few adults"):
        make_plan(16, weights=reweighted(WEIGHTS, dict.fromkeys(none, 0.0)))
    with pytest.raises(PlanError, match="no camera suits the use case 'mirror selfie'"):
        make_plan(16, weights=reweighted(WEIGHTS, {("camera", "smartphone"): 0}))


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_every_dialect_says_what_the_cell_asks_for(dialect, tmp_path):
    rules, plan = Rules(DIALECTS[dialect], dialect=dialect), make_plan(48, weights=WEIGHTS)
    assert write_prompts(plan, tmp_path / "prompts.jsonl", TemplateWriter(0, dialect), rules).written == 48
    for prompt in read_prompts(tmp_path / "prompts.jsonl"):
        text, case = prompt.prompt.lower(), USE_CASES[prompt.attributes[USE_CASE]]
        for name in ("expression", "setting", "lighting", "camera"):
            assert any(phrase.lower() in text for phrase in PHRASES[name][prompt.attributes[name]]), (name, text)
        assert any(all(part.lower() in text for part in shot.split("{}")) for shot in case.shot), text
        assert "{" not in text
        assert ("business clothes" in text) == (prompt.attributes[USE_CASE] == "company headshot")


def test_nobody_forbids_the_others_of_a_group(tmp_path):
    cells = [cell for cell in make_plan(16, weights=WEIGHTS).cells if cell.attributes[USE_CASE] in (GROUP, "ID photo")]
    plan = Plan(0, WEIGHTS, tuple(cells))
    write_prompts(plan, tmp_path / "prompts.jsonl", TemplateWriter(0), Rules())
    for prompt in read_prompts(tmp_path / "prompts.jsonl"):
        assert ("several people" in prompt.negative) != prompt.several
        assert prompt.several == (prompt.attributes[USE_CASE] == GROUP)


def test_instructions_ask_and_sentences_tell():
    cell = make_plan(8, weights=WEIGHTS).cells[0]
    texts = {dialect: TemplateWriter(0, dialect).write([PromptTask(cell, 0)])[0] for dialect in DIALECTS}
    assert texts[INSTRUCTIONS].startswith("Make a realistic photograph: ")
    assert "No text, no watermark" in texts[INSTRUCTIONS]
    assert texts[SENTENCES].count(". ") >= 1
    assert ". " not in texts[TAGS]
    assert TemplateWriter(0, SENTENCES).model == "template-2 sentences"


def test_a_group_may_show_several_faces_and_its_largest_counts():
    faces = tuple({"box": [10 + 60 * n, 10, 60 + 60 * n, 60], "confidence": 0.99} for n in range(3))
    seen = Measurements(faces, "0" * 32, 50.0, 0.0)
    assert reasons(seen, (256, 256)) == ("several_faces",)
    assert reasons(seen, (256, 256), several=True) == ()
    assert reasons(Measurements((), "0" * 32, 50.0, 0.0), (256, 256), several=True) == ("no_face",)
    tiny = tuple({**face, "box": [0, 0, 20, 20]} for face in faces)
    assert reasons(Measurements(tiny, "0" * 32, 50.0, 0.0), (256, 256), several=True) == ("small_face",)
    assert GROUP in USE_CASES
