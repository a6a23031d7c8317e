"""Ask a writer for every prompt that the plan wants and the file lacks, until the file has them all."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from data_generation.errors import PromptError
from data_generation.plan import Cell, Plan
from data_generation.prompts.record import Prompt, PromptFile, identifier
from data_generation.prompts.rules import Rules, dedup_key, name_complaint, tidy


class UnusableAnswer(Exception):  # noqa: N818 - not an error: the same tasks are asked again
    """The answer to a request cannot be used, for the reason in the message."""


@dataclass(frozen=True)
class PromptTask:
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
    """Something that turns tasks into text."""

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
    def max_useless(self) -> int:
        """The run ends after so many answers if no prompt has come of them."""

    def write(self, tasks: Sequence[PromptTask]) -> list[str]:
        """One text for each task, "" where there is none.

        Raises:
            UnusableAnswer: no part of the answer is of use; the tasks are asked again, fewer at a time.
            PromptError: it makes no sense to go on.
        """


@dataclass
class WritingStats:
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


def missing(plan: Plan, prompts: Sequence[Prompt]) -> list[PromptTask]:
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
    tasks = (PromptTask(cell, ordinal) for cell in plan.cells for ordinal in range(cell.count))
    return [task for task in tasks if (task.cell.id, task.ordinal) not in present]


def write_prompts(
    plan: Plan, path: Path, writer: Writer, rules: Rules, advance: Callable[[int], object] = lambda count: None
) -> WritingStats:
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
        tasks = missing(plan, file.prompts)
        run.stats.wanted, run.stats.found = plan.total, plan.total - len(tasks)
        run.stats.surplus = len(file.prompts) - run.stats.found
        advance(run.stats.found)
        for attempt in range(writer.attempts):
            size = max(1, writer.batch >> attempt)
            tasks = [again for batch in _batches(tasks, size) for again in run.ask(batch)]
        if tasks:
            raise PromptError(
                f"{len(tasks)} of {plan.total} prompts could not be written, first that of cell {tasks[0].cell.id} "
                f"({tasks[0].complaint}); the others are in {path}: run again to ask for these alone, "
                "reword the cell in the plan, or let `--writer template` write them"
            )
        return run.stats


class _Run:
    """The state of one call of `write_prompts`."""

    def __init__(self, file: PromptFile, writer: Writer, rules: Rules, advance: Callable[[int], object]) -> None:
        self.file, self.writer, self.rules, self.advance = file, writer, rules, advance
        self.seen = {dedup_key(prompt.prompt) for prompt in file.prompts}
        self.stats = WritingStats()
        self.useless = 0

    def ask(self, tasks: Sequence[PromptTask]) -> list[PromptTask]:
        """Write what can be written; the tasks that remain, with what was wrong."""
        try:
            texts = [tidy(text) for text in self.writer.write(tasks)]
            complaints = [self._complaint(task, text) for task, text in zip(tasks, texts, strict=True)]
        except UnusableAnswer as error:
            texts, complaints = [""] * len(tasks), [str(error)] * len(tasks)
        answers = list(zip(tasks, texts, complaints, strict=True))
        good = [self._prompt(task, text) for task, text, complaint in answers if not complaint]
        self.file.append(good)
        self.stats.written += len(good)
        self.stats.rejected += len(tasks) - len(good)
        self.advance(len(good))
        self._consider_giving_up(complaints)
        again = ((task, complaint) for task, _, complaint in answers if complaint)
        return [replace(task, attempt=task.attempt + 1, complaint=complaint) for task, complaint in again]

    def _complaint(self, task: PromptTask, text: str) -> str:
        """What is wrong with `text`; if nothing, it counts as used from now on."""
        if complaint := self.rules.complaint(text) or name_complaint(text, task.cell.attributes.values()):
            return complaint
        if dedup_key(text) in self.seen:
            return f"there is one like it already: {text}"
        self.seen.add(dedup_key(text))
        return ""

    def _prompt(self, task: PromptTask, text: str) -> Prompt:
        key = identifier(task.cell.id, task.ordinal, text)
        attributes, negative = task.cell.attributes, self.rules.negative
        return Prompt(key, task.cell.id, task.ordinal, text, negative, attributes, self.writer.name, self.writer.model)

    def _consider_giving_up(self, complaints: Sequence[str]) -> None:
        self.useless += all(complaints)
        if self.stats.written == 0 and self.useless >= self.writer.max_useless:
            raise PromptError(
                f"none of {self.useless} answers could be used (the last: {complaints[-1]}): "
                "try another --model, fewer prompts a request with --batch, or `--writer template`"
            )


def _batches(tasks: Sequence[PromptTask], size: int) -> Iterator[tuple[PromptTask, ...]]:
    iterator = iter(tasks)
    return iter(lambda: tuple(itertools.islice(iterator, size)), ())
