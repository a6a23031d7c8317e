"""What a prompt must be: short, plain, printable, and unlike the others."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

NEGATIVE = (
    "nude, naked, nudity, drawing, painting, illustration, cartoon, anime, 3d render, sculpture, doll, several people, "
    "deformed face, cropped head, text, watermark, frame"
)
"""Words with commas between them: a diffusion model reads "no drawings please" as a wish for drawings."""

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
    """

    max_words: int = 45
    negative: str = NEGATIVE

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
