"""What a checker is made of, as plain words: commands, scans and machines of a cluster pass it on and load nothing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecheck.engines import AUTO
from facecheck.error_rates import DEFAULT_PREVALENCE
from facecheck.model import DEFAULT_MODEL

if TYPE_CHECKING:
    from facecheck.checker import FaceChecker


@dataclass(frozen=True)
class CheckerSettings:
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
