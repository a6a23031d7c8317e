from collections import Counter
from dataclasses import replace

import pytest

from data_generation import PromptError
from data_generation.attributes import DEFAULTS, EXTRA, NONE, SKIN_TONES
from data_generation.plan import Cell, make_plan
from data_generation.prompts import NEGATIVE, PromptTask, Rules, dedup_key, name_complaint, write_prompts
from data_generation.prompts.template import PEOPLE, PHRASES, TemplateWriter
from data_generation.record import read_prompts

MAN = {
    "age": "elderly", "gender": "masculine", "skin_tone": "monk-9", "hair": "short curly", "hair_colour": "grey",
    "facial_hair": "beard", "expression": "sad", "head_pose": "frontal", "eyewear": NONE, "headwear": NONE,
    "setting": "park", "lighting": "backlight", "camera": "webcam",
}  # fmt: skip


def _text(attributes, ordinal=0, seed=0):
    return TemplateWriter(seed).write([PromptTask(Cell("c", attributes, 1), ordinal)])[0]


def test_every_default_value_has_phrases():
    for name, phrases in PHRASES.items():
        assert set(phrases) == {*DEFAULTS[name], *EXTRA.get(name, ())} - {NONE}
    assert {(age, gender) for age in DEFAULTS["age"] for gender in DEFAULTS["gender"]} == set(PEOPLE)
    assert set(SKIN_TONES) == set(DEFAULTS["skin_tone"])


def test_a_prompt_says_what_the_cell_asks_for():
    for ordinal in range(20):
        text = _text(MAN, ordinal)
        assert "very dark brown skin, short curly grey hair and a " in text
        assert "beard" in text
        for name in ("expression", "head_pose", "setting", "lighting", "camera"):
            assert any(phrase in text for phrase in PHRASES[name][MAN[name]]), (name, text)
        assert "none" not in text
        assert "glasses" not in text


def test_everybody_is_clothed_and_the_record_says_since_when():
    assert all("in everyday clothes" in _text(MAN | {"age": age}) for age in DEFAULTS["age"])
    assert TemplateWriter(0).model == "template-2"
    assert {"nude", "naked", "nudity"} <= set(NEGATIVE.split(", "))


def test_no_template_seems_to_name_somebody():
    tasks = [PromptTask(cell, ordinal) for cell in make_plan(300, seed=3).cells for ordinal in range(3)]
    assert not any(map(name_complaint, TemplateWriter(0).write(tasks)))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Portrait of a woman who looks like Jane Example in a park", "Jane Example"),
        ("A man in his forties, Élodie Example's brother, on a street", "Élodie Example's"),
        ("A photo of an old woman beside Dr. Jane, smiling a little", "Dr Jane"),
        ("A young man with a beard. Next to him Tom Example, laughing", "Tom Example"),
        ("Portrait of a woman from Paris, Asian, in a park. Soft light. Film photo", ""),
        ("Portrait of an East Asian woman and an African American man", ""),
        ("A photo of a man in a T-shirt, Monday morning", ""),
        ("Portrait of a woman on Brooklyn Bridge in the evening", ""),
    ],
)
def test_two_capitalised_words_may_be_a_name_unless_the_cell_has_them(text, name):
    complaint = name_complaint(text, ["on Brooklyn Bridge", "park"])
    assert complaint.partition(":")[0] == (f"seems to name somebody ({name})" if name else "")


def test_hidden_or_shaved_hair_has_no_colour():
    assert "grey" not in _text(MAN | {"headwear": "hood"})
    assert "a shaved head" in _text(MAN | {"hair": "shaved"})
    assert "grey" not in _text(MAN | {"hair": "shaved"})


def test_values_that_a_person_added_speak_for_themselves():
    text = _text(MAN | {"setting": "on a boat", "age": "ancient", "clothing": "a red scarf"})
    assert "on a boat" in text
    assert "an ancient masculine person with" in text
    assert "a red scarf" in text


def test_prompts_are_short_varied_and_the_same_every_time(tmp_path):
    plan = make_plan(150, seed=5, count=2)
    for name in ("one", "two"):
        stats = write_prompts(plan, tmp_path / name, TemplateWriter(5), Rules())
        assert (stats.wanted, stats.written) == (300, 300)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    prompts = read_prompts(tmp_path / "one")
    assert len({dedup_key(prompt.prompt) for prompt in prompts}) == 300
    assert max(len(prompt.prompt.split()) for prompt in prompts) <= 45
    assert Counter(prompt.cell for prompt in prompts) == {cell.id: 2 for cell in plan.cells}
    assert all(prompt.writer == "template" and prompt.negative.count(",") > 5 for prompt in prompts)
    assert _text(MAN, seed=1) != _text(MAN, seed=2)


def test_a_run_that_stops_anywhere_ends_with_the_same_file(tmp_path, small_plan):
    whole, part = tmp_path / "whole", tmp_path / "part"
    write_prompts(small_plan, whole, TemplateWriter(0), Rules())
    for size in (0, 1, 700, 4000, len(whole.read_bytes()) - 1):
        part.write_bytes(whole.read_bytes()[:size])
        write_prompts(small_plan, part, TemplateWriter(0), Rules())
        assert part.read_bytes() == whole.read_bytes()


def test_one_cell_can_have_many_prompts(tmp_path):
    plan = replace(make_plan(1), cells=(Cell("c", MAN, 150),))
    write_prompts(plan, tmp_path / "p", TemplateWriter(0), Rules())
    assert len({dedup_key(prompt.prompt) for prompt in read_prompts(tmp_path / "p")}) == 150


def test_a_limit_that_no_template_keeps_is_an_error(tmp_path, small_plan):
    with pytest.raises(PromptError, match="too long"):
        write_prompts(small_plan, tmp_path / "p", TemplateWriter(0), Rules(max_words=8))
