"""What a prompt must be: short, plain, printable, and unlike the others."""

import re
from dataclasses import dataclass

NEGATIVE = (
    "drawing, painting, illustration, cartoon, anime, 3d render, sculpture, doll, several people, "
    "deformed face, cropped head, text, watermark, frame"
)
"""Words with commas between them: a diffusion model reads "no drawings please" as a wish for drawings."""

FEWEST_WORDS = 5
CHARACTERS_A_WORD = 8
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


def tidy(text: str) -> str:
    """One line, no quotation marks around it."""
    return " ".join(text.split()).strip("\"'“”")


def likeness(text: str) -> str:
    """Equal for prompts that differ only in case, punctuation, filler words or order."""
    return " ".join(sorted(set(re.findall(r"\w+", text.casefold())) - FILLERS))
