"""The real openai client against a local server that misbehaves."""

import contextlib
import logging
from collections import Counter
from dataclasses import replace

import pytest

from data_generation import PromptError
from data_generation.api_client import Backoff, RateLimit
from data_generation.prompts import Rules, dedup_key, missing, write_prompts
from data_generation.prompts.openai_writer import OpenAIWriter, request
from data_generation.prompts.template import TemplateWriter
from data_generation.record import read_prompts

KEY = "sk-verysecret-0123456789abcdef"
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"


@pytest.fixture
def run(server, small_plan, tmp_path, caplog):
    """Writes the prompts of the small plan; afterwards the key must be nowhere."""
    caplog.set_level(logging.DEBUG)
    out, slept = tmp_path / "prompts.jsonl", []

    def write(key=KEY, plan=small_plan, **settings):
        settings = {"batch": 4, "backoff": Backoff(3, 0.5, slept.append)} | settings
        writer = OpenAIWriter("m", key, server.url, **settings)
        with contextlib.closing(writer):
            try:
                stats = write_prompts(plan, out, writer, Rules())
            except PromptError as error:
                assert "\n" not in str(error)
                assert KEY not in str(error)
                assert error.__cause__ is None
                raise
        return stats, writer

    write.out, write.slept = out, slept
    yield write
    assert KEY not in caplog.text
    assert KEY not in (out.read_text() if out.exists() else "")
    assert not [path for path in tmp_path.iterdir() if path != out]


def _check(out, plan, count=None):
    prompts = read_prompts(out)
    assert len(prompts) == (plan.total if count is None else count)
    assert len({(prompt.cell, prompt.ordinal) for prompt in prompts}) == len(prompts)
    assert len({dedup_key(prompt.prompt) for prompt in prompts}) == len(prompts)
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    assert all(not Rules().complaint(prompt.prompt) for prompt in prompts)
    return prompts


def test_a_server_that_behaves_is_asked_once_for_each_batch(run, server, small_plan):
    stats, writer = run()
    prompts = _check(run.out, small_plan)
    assert Counter(prompt.cell for prompt in prompts) == {cell.id: 2 for cell in small_plan.cells}
    assert {(prompt.writer, prompt.model) for prompt in prompts} == {("openai", "m")}
    assert (stats.written, stats.rejected) == (20, 0)
    assert server.asked() == [4] * 5
    assert {path for path, _ in server.requests} == {RESPONSES}
    assert server.requests[0][1]["text"]["format"]["type"] == "json_schema"
    assert (writer.usage.requests, writer.usage.tokens_in, writer.usage.tokens_out) == (5, 500, 200)


@pytest.mark.parametrize("move", ["429", "500", "503", "529", "408", "wait"])
def test_a_failed_request_is_sent_again_after_a_pause(run, server, small_plan, move):
    server.script = ["", move, move]
    _, writer = run()
    _check(run.out, small_plan)
    assert (writer.usage.requests, writer.usage.failures) == (7, 2)
    first, second = run.slept
    assert (first, second) == (7, 7) if move == "wait" else (0.25 <= first <= 0.5 <= second <= 1)


def test_a_request_that_takes_too_long_is_sent_again(run, server, small_plan):
    server.script = ["slow"]
    _, writer = run(timeout=1)
    _check(run.out, small_plan)
    assert writer.usage.failures >= 1


@pytest.mark.parametrize(
    "move", ["truncated", "refusal", "none", "prose", "html", "fewer", "empty", "long", "echo", "named"]
)
@pytest.mark.parametrize("dialect", ["responses", "chat", "json"])
def test_an_answer_of_no_use_is_asked_for_again_in_smaller_batches(run, server, small_plan, move, dialect):
    if dialect != "responses":
        server.routes = {CHAT}
    if dialect == "json":
        server.formats = {"json_object"}
    searching = {"responses": 0, "chat": 1, "json": 2}[dialect]
    server.script = [""] * (searching + 1) + [move, move]
    stats, _ = run()
    _check(run.out, small_plan)
    lost = 2 if move == "fewer" else 8
    assert stats.rejected == lost
    assert server.asked()[searching:][:5] == [4] * 5
    assert server.asked()[searching + 5 :] == [2] * (lost // 2)


def test_what_is_too_much_is_left_out_and_what_is_there_twice_is_asked_for_again(run, server, small_plan):
    server.script = ["more", "same"]
    stats, _ = run()
    prompts = _check(run.out, small_plan)
    assert stats.rejected == 3
    assert sum(prompt.prompt.startswith("The same") for prompt in prompts) == 1
    assert "of no use: there is one like it already: The same photo" in server.requests[-1][1]["input"]


def test_without_the_responses_route_chat_completions_are_used_and_remembered(run, server, small_plan):
    server.routes = {CHAT}
    run()
    _check(run.out, small_plan)
    assert [path for path, _ in server.requests] == [RESPONSES] + [CHAT] * 5
    assert server.requests[1][1]["response_format"]["type"] == "json_schema"


def test_without_structured_output_json_mode_is_used_and_remembered(run, server, small_plan):
    server.routes, server.formats, server.always = {CHAT}, {"json_object"}, "fenced"
    run(key="")
    _check(run.out, small_plan)
    kinds = [body.get("response_format", {}).get("type") for _, body in server.requests]
    assert kinds == [None, "json_schema"] + ["json_object"] * 5
    assert '"prompts"' in server.requests[-1][1]["messages"][0]["content"]


def test_a_server_that_ignores_the_schema_is_asked_in_another_dialect(run, server, small_plan):
    server.script = ["prose"] * 4
    run()
    _check(run.out, small_plan)
    assert [path for path, _ in server.requests[:5]] == [RESPONSES] * 2 + [CHAT] * 3


ENDS = {
    "401": "answers 401: no luck.* set another key",
    "403": "answers 403: no luck.* set another key",
    "402": "used up",
    "quota": "exceeded your quota.* used up",
    "no model": "name a model that it has with --model, 'm' is not one",
    "ollama": "name a model that it has with --model, 'm' is not one",
    "400": "must speak OpenAI's .* check --base-url",
    "500": "no answer from http://127.0.0.1:.* after 4 requests .last: 500: no luck",
    "wait for ever": "asks to wait 86400 s.* run again later",
    "refusal": "none of 10 answers could be used .the last: refused: I cannot help",
    "truncated": "none of 10 answers could be used .the last: incomplete",
    "prose": "none of 10 answers could be used .the last: not the JSON",
    "html": "none of 10 answers could be used .the last: the answer is not JSON",
}


@pytest.mark.parametrize("move", ENDS)
def test_what_does_not_get_better_ends_in_one_line_that_says_what_to_do(run, server, move):
    server.always = move
    with pytest.raises(PromptError, match=ENDS[move]):
        run()
    assert len(server.requests) <= 10
    assert read_prompts(run.out) == []


def test_an_address_where_nobody_answers(run, server, small_plan):
    server.shutdown()
    server.server_close()
    with pytest.raises(PromptError, match=r"no answer from http://127.* refused.*: check --base-url"):
        run()


def test_what_was_written_before_the_end_stays_and_is_not_asked_for_again(run, server, small_plan):
    server.script, server.always = ["", ""], "401"
    with pytest.raises(PromptError):
        run()
    before = _check(run.out, small_plan, 8)
    server.requests.clear()
    server.always = ""
    stats, _ = run()
    assert _check(run.out, small_plan)[:8] == before
    assert (stats.found, stats.written) == (8, 12)
    assert server.asked() == [4, 4, 4]
    server.requests.clear()
    assert run()[0].written == 0
    assert not server.requests


def test_cells_that_are_always_refused_are_named_and_the_template_can_finish(run, server, small_plan):
    server.script, server.always = [""] * 4, "refusal"
    with pytest.raises(PromptError, match=r"^4 of 20 prompts could not be written, first that of cell \S+ \(refused"):
        run(attempts=4)
    assert server.asked() == [4] * 5 + [2] * 2 + [1] * 8
    write_prompts(small_plan, run.out, TemplateWriter(0), Rules())
    assert Counter(prompt.writer for prompt in _check(run.out, small_plan)) == {"openai": 16, "template": 4}


def test_an_edited_cell_with_prompts_is_refused(run, small_plan):
    run()
    cell = small_plan.cells[3]
    edited = replace(cell, attributes=cell.attributes | {"hair": "braided", "setting": "beach", "camera": "webcam"})
    with pytest.raises(PromptError, match=f"cell {cell.id} was edited .* give it a new id"):
        run(plan=replace(small_plan, cells=(edited,)))


def test_requests_keep_to_the_pace(run, small_plan):
    paused = []
    run(rate_limit=RateLimit(30, paused.append, clock=lambda: 100.0))
    assert paused == [2, 4, 6, 8]
    _check(run.out, small_plan)


def test_a_placeholder_for_a_key_hides_nothing(run, small_plan):
    run(key="photo")
    _check(run.out, small_plan)


@pytest.mark.parametrize("key", ["sk-abc\ndef12345", "sk-ключ-0123456789", "sk abc 0123456"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key):
    with pytest.raises(PromptError, match="copy it again") as caught:
        OpenAIWriter("m", key)
    assert key not in str(caught.value)


def test_an_address_without_a_scheme_is_refused():
    with pytest.raises(PromptError, match="must begin with http"):
        OpenAIWriter("m", KEY, "localhost:11434/v1")


def test_the_model_is_told_all_attributes_that_can_be_seen(small_plan):
    line = request(missing(small_plan, [])[:1])
    for name, value in small_plan.cells[0].attributes.items():
        assert (value in line) == (value != "none" and name != "skin_tone"), name
    assert " skin;" in line
