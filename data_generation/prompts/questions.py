"""What the language model is told and asked."""

from collections.abc import Sequence

from data_generation.attributes import NONE, SKIN_TONES
from data_generation.prompts.rules import Rules
from data_generation.prompts.writing import Wish


def instructions(rules: Rules) -> str:
    """The same for every request."""
    return (
        "You write prompts for a text-to-image model that makes photographs of faces. For each numbered person write "
        f"one plain English phrase of at most {max(rules.max_words - 10, 8)} words that names every attribute listed "
        "and shows exactly one clothed person, head and shoulders. Vary wording and order. No names of real people, no "
        "artists, no quality words such as masterpiece or 8k, nothing about what must not be seen. "
        'Give each prompt the number of its person as "item", and exactly one prompt for each person.'
    )


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
