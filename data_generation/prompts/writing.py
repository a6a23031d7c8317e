"""Ask a writer for every prompt that the plan wants and the file lacks, until the file has them all."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from data_generation.errors import PromptError
from data_generation.plan import Cell, Plan
from data_generation.prompts.record import Prompt, PromptFile, identifier
from data_generation.prompts.rules import Rules, likeness, name_complaint, tidy


class Unusable(Exception):  # noqa: N818 - not an error: the same wishes are asked again
    """The answer to a request cannot be used, for the reason in the message."""


@dataclass(frozen=True)
class Wish:
    """One prompt to be written.

    Attributes:
        cell: what it must describe.
        ordinal: which of the cell's pictures, from 0.
        attempt: how often it has been asked for in this run.
        complaint: what was wrong with the last answer.
    """

    cell: Cell
    ordinal: int
    attempt: int = 0
    complaint: str = ""


class Writer(Protocol):
    """Something that turns wishes into text."""

    @property
    def name(self) -> str:
        """For the record: "template" or "openai"."""

    @property
    def model(self) -> str:
        """For the record."""

    @property
    def batch(self) -> int:
        """Wishes of one request."""

    @property
    def attempts(self) -> int:
        """How often a prompt is asked for before the run gives up on it."""

    @property
    def hopeless(self) -> int:
        """The run ends after so many answers if no prompt has come of them."""

    def write(self, wishes: Sequence[Wish]) -> list[str]:
        """One text for each wish, "" where there is none.

        Raises:
            Unusable: no part of the answer is of use; the wishes are asked again, fewer at a time.
            PromptError: it makes no sense to go on.
        """


@dataclass
class Tally:
    """What a run did.

    Attributes:
        wanted: prompts that the plan asks for.
        found: how many of them were in the file.
        written: how many were added.
        rejected: texts that were refused: duplicates, too long, missing.
        surplus: prompts in the file that the plan does not ask for (any more).
    """

    wanted: int = 0
    found: int = 0
    written: int = 0
    rejected: int = 0
    surplus: int = 0


def missing(plan: Plan, prompts: Sequence[Prompt]) -> list[Wish]:
    """What the plan asks for and `prompts` lacks.

    Raises:
        PromptError: a cell was edited after prompts had been written for it.
    """
    cells = {cell.id: cell for cell in plan.cells}
    for prompt in prompts:
        if prompt.cell in cells and cells[prompt.cell].attributes != prompt.attributes:
            raise PromptError(
                f"cell {prompt.cell} was edited after prompts had been written for it: "
                "give it a new id, or write to a new file"
            )
    present = {(prompt.cell, prompt.ordinal) for prompt in prompts}
    wishes = (Wish(cell, ordinal) for cell in plan.cells for ordinal in range(cell.count))
    return [wish for wish in wishes if (wish.cell.id, wish.ordinal) not in present]


def write_prompts(
    plan: Plan, path: Path, writer: Writer, rules: Rules, advance: Callable[[int], object] = lambda count: None
) -> Tally:
    """Complete the file `path`; a second run asks only for what is missing.

    Args:
        plan: the cells and how many prompts each needs.
        path: prompts.jsonl, made if it does not exist.
        writer: who writes.
        rules: what is accepted.
        advance: called with the number of prompts that are on the disk since the last call.

    Raises:
        PromptError: not all prompts could be written; those that were stay in the file.
    """
    with PromptFile(path) as file:
        run = _Run(file, writer, rules, advance)
        wishes = missing(plan, file.prompts)
        run.tally.wanted, run.tally.found = plan.total, plan.total - len(wishes)
        run.tally.surplus = len(file.prompts) - run.tally.found
        advance(run.tally.found)
        for attempt in range(writer.attempts):
            size = max(1, writer.batch >> attempt)
            wishes = [again for batch in _batches(wishes, size) for again in run.ask(batch)]
        if wishes:
            raise PromptError(
                f"{len(wishes)} of {plan.total} prompts could not be written, first that of cell {wishes[0].cell.id} "
                f"({wishes[0].complaint}); the others are in {path}: run again to ask for these alone, "
                "reword the cell in the plan, or let `--writer template` write them"
            )
        return run.tally


class _Run:
    """The state of one call of `write_prompts`."""

    def __init__(self, file: PromptFile, writer: Writer, rules: Rules, advance: Callable[[int], object]) -> None:
        self.file, self.writer, self.rules, self.advance = file, writer, rules, advance
        self.seen = {likeness(prompt.prompt) for prompt in file.prompts}
        self.tally = Tally()
        self.useless = 0

    def ask(self, wishes: Sequence[Wish]) -> list[Wish]:
        """Write what can be written; the wishes that remain, with what was wrong."""
        try:
            texts = [tidy(text) for text in self.writer.write(wishes)]
            complaints = [self._complaint(wish, text) for wish, text in zip(wishes, texts, strict=True)]
        except Unusable as error:
            texts, complaints = [""] * len(wishes), [str(error)] * len(wishes)
        answers = list(zip(wishes, texts, complaints, strict=True))
        good = [self._prompt(wish, text) for wish, text, complaint in answers if not complaint]
        self.file.append(good)
        self.tally.written += len(good)
        self.tally.rejected += len(wishes) - len(good)
        self.advance(len(good))
        self._consider_giving_up(complaints)
        again = ((wish, complaint) for wish, _, complaint in answers if complaint)
        return [replace(wish, attempt=wish.attempt + 1, complaint=complaint) for wish, complaint in again]

    def _complaint(self, wish: Wish, text: str) -> str:
        """What is wrong with `text`; if nothing, it counts as used from now on."""
        if complaint := self.rules.complaint(text) or name_complaint(text, wish.cell.attributes.values()):
            return complaint
        if likeness(text) in self.seen:
            return f"there is one like it already: {text}"
        self.seen.add(likeness(text))
        return ""

    def _prompt(self, wish: Wish, text: str) -> Prompt:
        key = identifier(wish.cell.id, wish.ordinal, text)
        attributes, negative = wish.cell.attributes, self.rules.negative
        return Prompt(key, wish.cell.id, wish.ordinal, text, negative, attributes, self.writer.name, self.writer.model)

    def _consider_giving_up(self, complaints: Sequence[str]) -> None:
        self.useless += all(complaints)
        if self.tally.written == 0 and self.useless >= self.writer.hopeless:
            raise PromptError(
                f"none of {self.useless} answers could be used (the last: {complaints[-1]}): "
                "try another --model, fewer prompts a request with --batch, or `--writer template`"
            )


def _batches(wishes: Sequence[Wish], size: int) -> Iterator[tuple[Wish, ...]]:
    iterator = iter(wishes)
    return iter(lambda: tuple(itertools.islice(iterator, size)), ())
