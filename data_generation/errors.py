"""What a person can mend: every error here is one line that says how.

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
