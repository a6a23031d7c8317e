"""Ask a writer for every prompt that the plan wants and the file lacks, until the file has them all.

A prompt must be short, plain, printable, unlike the others, and name nobody.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from data_generation import PromptError
from data_generation.attributes import GROUP, USE_CASE
from data_generation.plan import Cell, Plan
from data_generation.record import Prompt, PromptFile, prompt_id

OTHERS = "several people"
NEGATIVE = (
    "nude, naked, nudity, drawing, painting, illustration, cartoon, anime, 3d render, sculpture, doll, "
    f"{OTHERS}, "
    "deformed face, cropped head, text, watermark, frame"
)
"""Words with commas between them: a diffusion model reads "no drawings please" as a wish for drawings."""

TAGS, SENTENCES, INSTRUCTIONS = "tags", "sentences", "instructions"
DIALECTS = {TAGS: 45, SENTENCES: 110, INSTRUCTIONS: 150}
"""How a model likes to be spoken to -> most words."""
FEWEST_WORDS = 5
CHARACTERS_A_WORD = 8
PUNCTUATION = ".,;:!?()[]\"'“”\u2018\u2019"
INITIALS = 2
"""Letters of the longest abbreviation before a name, such as Dr; a dot after more of them ends a sentence."""
ORIGINS = frozenset({
    "African", "American", "Asian", "Eastern", "East", "European", "Indian", "Islander", "Latin", "Middle", "Native",
    "North", "Northern", "Pacific", "South", "Southeast", "Southern", "Western", "West",
})  # fmt: skip
"""Words that say where people come from and stand in pairs, such as East Asian."""
FILLERS = frozenset({"a", "an", "the", "of", "with", "and", "in", "on", "at"})


@dataclass(frozen=True)
class Rules:
    """Limits of a prompt.

    Attributes:
        max_words: 45 words are about 60 of the 77 tokens that CLIP reads; it ignores the rest.
        negative: what every picture must not show.
        dialect: of `DIALECTS`.
    """

    max_words: int = DIALECTS[TAGS]
    negative: str = NEGATIVE
    dialect: str = TAGS

    def complaint(self, text: str) -> str:
        """What is wrong with `text`, or nothing."""
        words = len(text.split())
        if not words:
            return "missing"
        if not text.isprintable():
            return "holds characters that cannot be printed"
        if words < FEWEST_WORDS:
            return f"too short: {words} words"
        if words > self.max_words:
            return f"too long: {words} words, at most {self.max_words}"
        if len(text) > self.max_words * CHARACTERS_A_WORD:
            return f"too long: {len(text)} characters, at most {self.max_words * CHARACTERS_A_WORD}"
        return ""


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
        key = prompt_id(task.cell.id, task.ordinal, text)
        attributes, negative = task.cell.attributes, self.rules.negative
        if attributes.get(USE_CASE) == GROUP:
            negative = negative.replace(f"{OTHERS}, ", "")
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


def name_complaint(text: str, values: Iterable[str] = ()) -> str:
    """What to say of two capitalised words in a row: they may be the name of a real person; nothing without any.

    The first word of a sentence does not count, nor do words of `values`, those of the cell. A single name, two words
    that begin a sentence, and small letters are not found.
    """
    allowed = ORIGINS | {word.strip(PUNCTUATION) for value in values for word in value.split()}
    before, begins = "", True
    for token in text.split():
        word = token.strip(PUNCTUATION)
        is_name = word[:1].isupper() and not begins and word not in allowed
        if before and is_name:
            return f"seems to name somebody ({before} {word}): name nobody, and write other words small"
        is_short = word[:1].isupper() and len(word) <= INITIALS
        begins = token[-1] in ".!?" and not is_short
        before = word if is_name and (token[-1] not in PUNCTUATION or is_short) else ""
    return ""


def tidy(text: str) -> str:
    """One line, no quotation marks around it."""
    return " ".join(text.split()).strip("\"'“”")


def dedup_key(text: str) -> str:
    """Equal for prompts that differ only in case, punctuation, filler words or order."""
    return " ".join(sorted(set(re.findall(r"\w+", text.casefold())) - FILLERS))
