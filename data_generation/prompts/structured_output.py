"""Three ways to ask an OpenAI-compatible server for structured output, best first.

OpenAI speaks all of them; Ollama, vLLM and llama.cpp speak the second or third, depending on version and model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import openai
import pydantic

from data_generation.api_client import Usage
from data_generation.attributes import NONE, SKIN_TONES
from data_generation.prompts.writing import INSTRUCTIONS, SENTENCES, TAGS, PromptTask, Rules, UnusableAnswer


class Item(pydantic.BaseModel):
    """One prompt, and the number of the person it describes."""

    item: int
    prompt: str


class Items(pydantic.BaseModel):
    """What the model is asked for."""

    prompts: list[Item]


class Malformed(UnusableAnswer):
    """Not what was asked for: perhaps the server does not know this dialect."""


@dataclass(frozen=True)
class Query:
    """What every dialect needs to know."""

    client: openai.OpenAI
    model: str
    instructions: str
    request: str
    usage: Usage

    @property
    def messages(self) -> Any:
        return [{"role": "system", "content": self.instructions}, {"role": "user", "content": self.request}]


Dialect = Callable[[Query], Items]

JSON_FORM = 'Answer with JSON only, in this form: {"prompts": [{"item": 1, "prompt": "..."}]}'


def responses(query: Query) -> Items:
    """`responses.parse`, the current format of OpenAI.

    Raises:
        UnusableAnswer: a refusal, an incomplete or a malformed answer.
        openai.OpenAIError: of the transport.
    """
    raw = query.client.responses.with_raw_response.parse(
        model=query.model, instructions=query.instructions, input=query.request, text_format=Items
    )
    body = _body(raw.http_response, "output", query.usage)
    if body.get("status") == "incomplete":
        raise UnusableAnswer(f"incomplete: {(body.get('incomplete_details') or {}).get('reason', 'no reason given')}")
    parsed = _parsed(raw)
    for output in parsed.output:
        for content in getattr(output, "content", None) or []:
            if content.type == "refusal":
                raise UnusableAnswer(f"refused: {content.refusal}")
    return _given(parsed.output_parsed)


def chat(query: Query) -> Items:
    """`chat.completions.parse`: structured output in the older format.

    Raises:
        UnusableAnswer: a refusal, a truncated or a malformed answer.
        openai.OpenAIError: of the transport.
    """
    raw = query.client.chat.completions.with_raw_response.parse(
        model=query.model, messages=query.messages, response_format=Items
    )
    _check_finish(_body(raw.http_response, "choices", query.usage))
    return _given(_parsed(raw).choices[0].message.parsed)


def json_mode(query: Query) -> Items:
    """`chat.completions.create` with a JSON object as answer, its form only described in words.

    Raises:
        UnusableAnswer: a refusal, a truncated or a malformed answer.
        openai.OpenAIError: of the transport.
    """
    system, user = query.messages
    system["content"] += f" {JSON_FORM}"
    raw = query.client.chat.completions.with_raw_response.create(
        model=query.model, messages=[system, user], response_format={"type": "json_object"}
    )
    body = _body(raw.http_response, "choices", query.usage)
    _check_finish(body)
    text = str(body["choices"][0]["message"].get("content") or "")
    # Small models put a fence or their thoughts around it.
    try:
        return Items.model_validate_json(text[text.find("{", text.rfind("</think>") + 1) : text.rfind("}") + 1])
    except pydantic.ValidationError as error:
        raise Malformed("not the JSON that was asked for") from error


DIALECTS: tuple[Dialect, ...] = (responses, chat, json_mode)


FORMS = {
    TAGS: "one plain English phrase",
    SENTENCES: "two to four plain English sentences",
    INSTRUCTIONS: "an instruction to make one photograph, in two to five plain English sentences,",
}
"""What a prompt is, by dialect."""


def instructions(rules: Rules) -> str:
    """The same for every request."""
    return (
        "You write prompts for a text-to-image model that makes photographs of faces. For each numbered person write "
        f"{FORMS[rules.dialect]} of at most {max(rules.max_words - 10, 8)} words that names every attribute listed "
        "and shows exactly one clothed person, head and shoulders, unless the use case is a group. "
        "Vary wording and order. No names of real people, no "
        "artists, no quality words such as masterpiece or 8k, nothing about what must not be seen. "
        'Give each prompt the number of its person as "item", and exactly one prompt for each person.'
    )


def request(tasks: Sequence[PromptTask]) -> str:
    """The persons to be described, numbered from 1, with what was wrong with the last prompt for each."""
    lines = []
    for number, task in enumerate(tasks, 1):
        attributes = "; ".join(_described(name, value) for name, value in task.cell.attributes.items() if value != NONE)
        again = f" (your last prompt was of no use: {task.complaint})" if task.complaint else ""
        lines.append(f"{number}. {attributes}{again}")
    return "\n".join(lines)


def _described(name: str, value: str) -> str:
    return f"{name.replace('_', ' ')}: {SKIN_TONES.get(value, value)}"


def _body(response: Any, field: str, usage: Usage) -> dict[str, Any]:
    """The JSON of an answer, its tokens counted before anything else can go wrong."""
    try:
        body = response.json()
    except ValueError as error:
        raise Malformed("the answer is not JSON") from error
    body = body if isinstance(body, dict) else {}
    usage.count(body.get("usage"))
    if not isinstance(body.get(field), list) or not body[field]:
        raise Malformed(f"the answer has no {field}")
    return body


def _check_finish(body: dict[str, Any]) -> None:
    choice = body["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Malformed("the answer has no message")
    if message.get("refusal"):
        raise UnusableAnswer(f"refused: {message['refusal']}")
    if choice.get("finish_reason") in {"length", "content_filter"}:
        raise UnusableAnswer(f"incomplete: {choice['finish_reason']}")


def _parsed(raw: Any) -> Any:
    try:
        return raw.parse()
    except (pydantic.ValidationError, openai.OpenAIError, AttributeError, TypeError) as error:
        raise Malformed("not the JSON that was asked for") from error


def _given(items: Any) -> Items:
    if not isinstance(items, Items):
        raise Malformed("an empty answer")
    return items
