"""An API key that shows itself to nobody but the server."""

import re
from dataclasses import dataclass, field

from data_generation.errors import PromptError

SHORTEST = 8
"""Characters; what is shorter ("ollama", "none") is a placeholder that hides nothing."""
LONGEST_LINE = 200


@dataclass(frozen=True)
class Secret:
    """A key, empty where the server needs none.

    Raises:
        PromptError: no HTTP header can carry it.
    """

    value: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if re.search(r"[^!-~]", self.value):
            raise PromptError("the API key holds characters that no key has: copy it again")

    def is_in(self, text: str) -> bool:
        return len(self.value) >= SHORTEST and self.value in text

    def line(self, text: str) -> str:
        """The beginning of `text` on one line, without the key: cut last, so that no half of a key remains."""
        hidden = text.replace(self.value, "[key]") if self.is_in(text) else text
        return " ".join(hidden.split())[:LONGEST_LINE]
