"""Prompts from a language model: OpenAI's, or any server that speaks its formats.

There are three ways to ask such a server for structured output, best first. OpenAI speaks all of them; Ollama, vLLM and
llama.cpp speak the second or third, depending on version and model.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openai
import pydantic

from data_generation import GenerationError, PromptError
from data_generation.api_client import LONGEST_PAUSE, Backoff, RateLimit, Server, Usage, is_passing, is_unsupported
from data_generation.attributes import NONE, SKIN_TONES
from data_generation.prompts import INSTRUCTIONS, SENTENCES, TAGS, PromptTask, Rules, UnusableAnswer

logger = logging.getLogger(__name__)

PATIENCE = 2
"""Malformed answers before another dialect is tried; a server may ignore what it does not know."""


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
"""Raises `UnusableAnswer` (a refusal, a cut-off or malformed answer), or `openai.OpenAIError` of the transport."""

JSON_FORM = 'Answer with JSON only, in this form: {"prompts": [{"item": 1, "prompt": "..."}]}'


def responses(query: Query) -> Items:
    """`responses.parse`, the current format of OpenAI."""
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
    """`chat.completions.parse`: structured output in the older format."""
    raw = query.client.chat.completions.with_raw_response.parse(
        model=query.model, messages=query.messages, response_format=Items
    )
    _check_finish(_body(raw.http_response, "choices", query.usage))
    return _given(_parsed(raw).choices[0].message.parsed)


def json_mode(query: Query) -> Items:
    """`chat.completions.create` with a JSON object as answer, its form only described in words."""
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


class OpenAIWriter:
    """Writes through the openai client; the key appears in no message, log or file.

    Args:
        model: name of the language model. key, base_url, timeout: of `data_generation.api_client.Server`.
        rules: what is accepted; the model is given them.
        batch: prompts asked for in one request. attempts: how often a prompt is asked for.
        backoff: what to do when a request fails. rate_limit: how fast to ask. usage: counts requests and tokens.

    Raises:
        PromptError: the key or the address cannot be one.
    """

    name = "openai"
    max_useless = 10

    def __init__(
        self, model: str, key: str = "", base_url: str | None = None, rules: Rules | None = None, batch: int = 8,
        attempts: int = 8, timeout: float = 120.0, backoff: Backoff | None = None, rate_limit: RateLimit | None = None,
        usage: Usage | None = None,
    ) -> None:  # fmt: skip
        self.model, self.batch, self.attempts, self.rules = model, batch, attempts, rules or Rules()
        self.usage, self.backoff, self.rate_limit = usage or Usage(), backoff or Backoff(), rate_limit or RateLimit()
        try:
            self._server = Server(key, base_url, timeout)
        except GenerationError as error:
            raise PromptError(str(error)) from None
        self._dialects = list(DIALECTS)
        self._proven = False
        self._malformed = 0

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def write(self, tasks: Sequence[PromptTask]) -> list[str]:
        """One text for each task, "" where the model left it out.

        Raises:
            UnusableAnswer: a refusal, an answer cut short, or not the JSON that was asked for.
            PromptError: the server cannot be reached, refuses the key, does not know the model, or has enough.
        """
        query = Query(self._server.client, self.model, instructions(self.rules), request(tasks), self.usage)
        try:
            items = self._spoken(query)
        except UnusableAnswer as error:
            reason = self._server.key.line(str(error))
            if isinstance(error, Malformed):
                self._consider_dialect(reason)
            raise UnusableAnswer(reason) from None
        self._proven = True
        answers = [
            (answer.item, answer.prompt) for answer in items.prompts if not self._server.key.is_in(answer.prompt)
        ]
        texts = dict(reversed(answers))
        return [texts.get(number, "") for number in range(1, len(tasks) + 1)]

    def _spoken(self, query: Query) -> Items:
        """The answer, in the first dialect that the server knows."""
        while True:
            try:
                return self._asked(query)
            except openai.APIStatusError as error:
                if not is_unsupported(error) or (len(self._dialects) == 1 and not self._proven):
                    raise PromptError(self._advice(error)) from None
                if self._proven:
                    raise UnusableAnswer(self._server.message(error)) from None
                self._next_dialect(self._server.message(error))

    def _asked(self, query: Query) -> Items:
        """The answer, if need be after several requests."""
        failures = 0
        while True:
            self.rate_limit.wait()
            self.usage.requests += 1
            headers: Mapping[str, str] = {}
            try:
                return self._dialects[0](query)
            except openai.APIStatusError as error:
                if not is_passing(error):
                    self.usage.failures += 1
                    raise
                reason, headers = self._server.message(error), error.response.headers
            except openai.APIConnectionError as error:
                reason = self._server.message(error)
            failures += 1
            self.usage.failures += 1
            self._wait(failures, reason, headers)

    def _wait(self, failures: int, reason: str, headers: Mapping[str, str]) -> None:
        seconds = self.backoff.seconds(failures, headers)
        if seconds > LONGEST_PAUSE:
            raise PromptError(f"the server asks to wait {seconds:.0f} s ({reason}): run again later to go on")
        if failures > self.backoff.retries:
            raise PromptError(
                f"no answer from {self._server.address} after {failures} requests (last: {reason}): "
                "check --base-url and the network, lower --batch or --per-minute; run again to go on"
            )
        logger.warning("%s; asking again in %.1f s", reason, seconds)
        self.backoff.sleep(seconds)

    def _consider_dialect(self, reason: str) -> None:
        """Count a malformed answer against a dialect that has never worked."""
        self._malformed += 1
        if not self._proven and self._malformed >= PATIENCE and len(self._dialects) > 1:
            self._next_dialect(reason)

    def _next_dialect(self, reason: str) -> None:
        left, *self._dialects = self._dialects
        self._malformed = 0
        logger.info("%s does not work here (%s)", left.__name__, reason)

    def _advice(self, error: openai.APIStatusError) -> str:
        """One line on an error that repeating does not mend."""
        otherwise = (
            "it must speak OpenAI's Responses or chat-completions format; "
            "check --base-url (it often ends in /v1) and --model"
        )
        return self._server.advice(error, self.model, otherwise, ", or use `--writer template`")
