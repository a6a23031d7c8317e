"""From a generator's name to what a detector says of its faces. What a person can mend is an error here, in one line.

GenerationError
├── PlanError
└── PromptError
"""


class GenerationError(ValueError):
    """The base of all of them."""


class PlanError(GenerationError):
    """A plan that cannot be read or drawn."""


class PromptError(GenerationError):
    """Prompts cannot be read or written."""
