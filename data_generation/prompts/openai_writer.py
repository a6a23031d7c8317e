"""Prompts from a language model: OpenAI's, or any server that speaks its formats."""

import logging
import re
from collections.abc import Mapping, Sequence

import openai

from data_generation.attributes import NONE, SKIN_TONES
from data_generation.prompts.dialects import DIALECTS, Items, Malformed, Question
from data_generation.prompts.record import PromptError
from data_generation.prompts.rules import Rules
from data_generation.prompts.usage import Usage
from data_generation.prompts.waiting import LONGEST, Backoff, Pace
from data_generation.prompts.writing import Unusable, Wish

logger = logging.getLogger(__name__)

UNSUPPORTED = frozenset({400, 404, 405, 415, 422, 501})
REPEATABLE = frozenset({408, 409, 429, 500, 502, 503, 504})
PATIENCE = 2
"""Malformed answers before another dialect is tried; a server may ignore what it does not know."""
NO_KEY = "none"
"""Sent to servers that ask for no key; the client insists on one."""


class OpenAIWriter:
    """Writes through the openai client.

    The key appears in no message, log or file of this class.

    Args:
        model: name of the language model.
        key: API key, "" where the server needs none.
        base_url: of another server than OpenAI's, usually ending in /v1.
        rules: what is accepted; the model is told.
        batch: prompts asked for in one request.
        attempts: how often a prompt is asked for.
        timeout: seconds that a request may take.
        backoff: what to do when it fails.
        pace: how fast to ask.
        usage: counts requests and tokens.

    Raises:
        PromptError: the key holds characters that no HTTP header can carry.
    """

    name = "openai"
    hopeless = 10

    def __init__(
        self, model: str, key: str = "", base_url: str | None = None, rules: Rules = Rules(), batch: int = 8,
        attempts: int = 8, timeout: float = 120.0, backoff: Backoff = Backoff(), pace: Pace | None = None,
        usage: Usage | None = None,
    ) -> None:  # fmt: skip
        self.model, self.batch, self.attempts, self.rules = model, batch, attempts, rules
        self.usage, self.backoff, self.pace = usage or Usage(), backoff, pace or Pace()
        self._key = key.strip()
        if not self._key.isascii() or not self._key.isprintable():
            raise PromptError("the API key holds characters that no key has: copy it again")
        self._client = openai.OpenAI(api_key=self._key or NO_KEY, base_url=base_url, max_retries=0, timeout=timeout)
        self._dialects = list(DIALECTS)
        self._proven = False
        self._malformed = 0

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def write(self, wishes: Sequence[Wish]) -> list[str]:
        """One text for each wish, "" where the model left it out.

        Raises:
            Unusable: a refusal, an answer cut short, or not the JSON that was asked for.
            PromptError: the server cannot be reached, refuses the key, does not know the model, or has enough.
        """
        question = Question(self._client, self.model, self._instructions(), request(wishes), self.usage)
        try:
            items = self._spoken(question)
        except Malformed as error:
            self._consider_dialect(str(error))
            raise Unusable(self._scrubbed(str(error))) from None
        except Unusable as error:
            raise Unusable(self._scrubbed(str(error))) from None
        self._proven = True
        answers = [(answer.item, answer.prompt) for answer in items.prompts if self._clean(answer.prompt)]
        texts = dict(reversed(answers))
        return [texts.get(number, "") for number in range(1, len(wishes) + 1)]

    def _instructions(self) -> str:
        return (
            "You write prompts for a text-to-image model that makes photographs of faces. For each numbered person "
            f"write one plain English phrase of 15 to {self.rules.max_words - 10} words that names every attribute "
            "listed and shows exactly one clothed person, head and shoulders. Vary wording and order. No names of real "
            "people, no artists, no quality words such as masterpiece or 8k, nothing about what must not be seen. "
            'Give each prompt the number of its person as "item", and exactly one prompt for each person.'
        )

    def _spoken(self, question: Question) -> Items:
        """The answer in the first dialect that the server knows."""
        while True:
            try:
                return self._asked(question)
            except openai.APIStatusError as error:
                if error.status_code not in UNSUPPORTED or _is_unknown_model(error):
                    raise PromptError(self._advice(error)) from None
                if self._proven:
                    raise Unusable(f"{error.status_code}: {_line(error.message)}") from None
                if len(self._dialects) == 1:
                    raise PromptError(self._advice(error)) from None
                self._next_dialect(f"{error.status_code}: {_line(error.message)}")

    def _asked(self, question: Question) -> Items:
        """The answer, if need be after several requests."""
        failures = 0
        while True:
            self.pace.wait()
            self.usage.requests += 1
            try:
                return self._dialects[0](question)
            except openai.APIStatusError as error:
                self.usage.failures += 1
                if error.status_code not in REPEATABLE or error.code == "insufficient_quota":
                    raise
                reason, headers = f"{error.status_code}: {_line(error.message)}", error.response.headers
            except openai.APIConnectionError as error:
                self.usage.failures += 1
                reason, headers = _line(f"{error.message} {error.__cause__ or ''}"), {}
            failures += 1
            self._wait(failures, reason, headers)

    def _wait(self, failures: int, reason: str, headers: Mapping[str, str]) -> None:
        reason, seconds = self._scrubbed(reason), self.backoff.seconds(failures, headers)
        if seconds > LONGEST:
            raise PromptError(f"the server asks to wait {seconds:.0f} s ({reason}): run again later to go on") from None
        if failures > self.backoff.retries:
            raise PromptError(
                f"no answer from {self._address()} after {failures} requests (last: {reason}): "
                "check --base-url and the network, lower --batch or --per-minute; run again to go on"
            ) from None
        logger.warning("%s; asking again in %.1f s", reason, seconds)
        self.backoff.sleep(seconds)

    def _consider_dialect(self, reason: str) -> None:
        """Count a malformed answer against a dialect that has never worked."""
        self._malformed += 1
        if not self._proven and self._malformed >= PATIENCE and len(self._dialects) > 1:
            self._next_dialect(reason)

    def _next_dialect(self, reason: str) -> None:
        logger.info("%s does not work here (%s)", self._dialects[0].__name__, self._scrubbed(reason))
        self._dialects.pop(0)
        self._malformed = 0

    def _advice(self, error: openai.APIStatusError) -> str:
        """One line on an error that repeating does not mend."""
        said = self._scrubbed(f"{error.status_code}: {_line(error.message)}")
        if error.status_code in {401, 403}:
            return f"{self._address()} refuses the API key ({said}): set another one, or use `--writer template`"
        if error.status_code == 429:
            return f"the quota of this account is used up ({said}): top it up and run again to go on"
        if _is_unknown_model(error):
            return f"{self._address()} has no model {self.model!r} ({said}): name one that it has with --model"
        return (
            f"{self._address()} answers {said}: it must speak the Responses or chat-completions format; "
            "check --base-url (it often ends in /v1) and --model"
        )

    def _address(self) -> str:
        url = self._client.base_url
        return self._scrubbed(f"{url.scheme}://{url.netloc.decode()}{url.path}")

    def _clean(self, text: str) -> bool:
        return self._scrubbed(text) == text

    def _scrubbed(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def request(wishes: Sequence[Wish]) -> str:
    """The persons to be described, numbered from 1, with what was wrong with the last prompt for each."""
    lines = []
    for number, wish in enumerate(wishes, 1):
        facts = "; ".join(_fact(name, value) for name, value in wish.cell.attributes.items() if value != NONE)
        again = f" (your last prompt was of no use: {wish.complaint})" if wish.complaint else ""
        lines.append(f"{number}. {facts}{again}")
    return "\n".join(lines)


def _fact(name: str, value: str) -> str:
    return f"{name.replace('_', ' ')}: {SKIN_TONES.get(value, value)}"


def _is_unknown_model(error: openai.APIStatusError) -> bool:
    text = error.message.casefold()
    named = "model" in text and ("not found" in text or "not exist" in text)
    return error.status_code == 404 and (error.code == "model_not_found" or named)


def _line(text: str) -> str:
    """The first 200 characters on one line."""
    return re.sub(r"\s+", " ", text).strip()[:200]
