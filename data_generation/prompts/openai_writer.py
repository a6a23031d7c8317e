"""Prompts from a language model: OpenAI's, or any server that speaks its formats."""

import logging
from collections.abc import Mapping, Sequence

import openai

from data_generation.api_client import (
    LONGEST_PAUSE,
    UNSUPPORTED,
    Backoff,
    RateLimit,
    Server,
    Usage,
    is_passing,
    is_unknown_model,
)  # fmt: skip
from data_generation.errors import GenerationError, PromptError
from data_generation.prompts.structured_output import DIALECTS, Items, Malformed, Query, instructions, request
from data_generation.prompts.writing import PromptTask, Rules, UnusableAnswer

logger = logging.getLogger(__name__)

PATIENCE = 2
"""Malformed answers before another dialect is tried; a server may ignore what it does not know."""


class OpenAIWriter:
    """Writes through the openai client; the key appears in no message, log or file.

    Args:
        model: name of the language model.
        key: API key, "" where the server needs none.
        base_url: of another server than OpenAI's, usually ending in /v1.
        rules: what is accepted; the model is given them.
        batch: prompts asked for in one request.
        attempts: how often a prompt is asked for.
        timeout: seconds that a request may take.
        backoff: what to do when it fails.
        rate_limit: how fast to ask.
        usage: counts requests and tokens.

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
                is_final = error.status_code not in UNSUPPORTED or is_unknown_model(error)
                if is_final or (len(self._dialects) == 1 and not self._proven):
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
