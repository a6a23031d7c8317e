import json
from dataclasses import replace

import pytest

from data_generation.errors import PromptError
from data_generation.prompts.record import Prompt, PromptFile, identifier, read_prompts
from facecheck.ledger import encoded

FIRST = Prompt("a1", "cell", 0, "A photo of a café", "drawing", {"age": "child"}, "template", "v")
SECOND = replace(FIRST, id="a2", ordinal=1)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "new folder" / "prompts.jsonl"
    with PromptFile(path) as file:
        file.append([FIRST, SECOND])
    return path


def test_lines_are_json_objects_that_read_back(path):
    assert read_prompts(path) == [FIRST, SECOND]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == vars(FIRST)


@pytest.mark.parametrize("cut", [1, 2, 40, -1])
def test_a_half_written_last_line_is_cut_off_and_nothing_else(path, cut):
    whole = path.read_bytes()
    line = encoded(vars(FIRST))
    path.write_bytes(whole + line[:cut])
    assert read_prompts(path) == [FIRST, SECOND]
    with PromptFile(path) as file:
        assert file.prompts == [FIRST, SECOND]
        file.append([replace(FIRST, id="a3", ordinal=2)])
    assert path.read_bytes().startswith(whole)
    assert [prompt.id for prompt in read_prompts(path)] == ["a1", "a2", "a3"]


@pytest.mark.parametrize("line", [b"{}\n", b"\n", b"nonsense\n", b'{"id": 1}\n', b"\xff\n"])
def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_changed(path, line):
    damaged = line + path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(PromptError, match="line 1, is not a prompt") as caught:
        PromptFile(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == damaged


def test_the_id_depends_on_cell_ordinal_and_text():
    ids = {identifier(*each) for each in [("a", 0, "t"), ("b", 0, "t"), ("a", 1, "t"), ("a", 0, "u"), ("a", 0, "t")]}
    assert len(ids) == 4
