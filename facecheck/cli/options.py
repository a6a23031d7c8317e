"""What several commands ask: which model, and what it runs on."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from facecheck.engines import AUTO, ENGINES, PRECISIONS
from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.model.files import DEFAULT_MODEL

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker

OPTIONS = (
    click.option("--model", help="Name or path of a model; the default ships with the package."),
    click.option("--device", default=AUTO, show_default=True, help="auto, cpu, cuda, ..."),
    click.option("--engine", type=click.Choice(ENGINES), default=AUTO, show_default=True, help="What computes."),
    click.option(
        "--precision", type=click.Choice(PRECISIONS), default=AUTO, show_default=True, help="In what numbers."
    ),
    click.option(
        "--prevalence",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=DEFAULT_PREVALENCE,
        show_default=True,
        help="Share of generated faces among those you ask about: what an answer is worth depends on it.",
    ),
)


@dataclass(frozen=True)
class Chosen:
    """A model, what it runs on, and how many fakes are expected; small enough to be sent to another machine.

    The words are those of `FaceChecker`.
    """

    model: str = DEFAULT_MODEL
    device: str = AUTO
    engine: str = AUTO
    precision: str = AUTO
    prevalence: float = DEFAULT_PREVALENCE

    def checker(self, *, max_fpr: float | None = None, stability: bool = False) -> "FaceChecker":
        """Load it.

        Raises:
            ModelError, DeviceError.
        """
        from facecheck.checker import FaceChecker

        return FaceChecker(
            self.model,
            device=self.device,
            max_fpr=max_fpr,
            stability=stability,
            engine=self.engine,
            precision=self.precision,
            prevalence=self.prevalence,
        )


def runs_a_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `OPTIONS`; it is called with one argument `chosen` in their place."""

    @functools.wraps(command)
    def called(model: str | None, device: str, engine: str, precision: str, prevalence: float, **others: Any) -> Any:
        return command(chosen=Chosen(model or DEFAULT_MODEL, device, engine, precision, prevalence), **others)

    return functools.reduce(lambda made, option: option(made), reversed(OPTIONS), called)
